// multiprocessing/pool/tasks/batch.ipp
//
// How a batch is allocated, given its message, and freed: see batch.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/tasks/batch.hpp"

#include <array>
#include <cstring>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

/// Frees the results and errors of a chunk.
[[gnu::noinline]] MULTIPROCESSING_INLINE void discard_results(Chunk& chunk) noexcept {
    Offset error = chunk.error.exchange(0);
    while (error != 0) {
        const Offset previous = head_of<ErrorHead>(error).previous;
        destroy_payload(heap().at(error));
        error = previous;
    }
    Offset segment = chunk.output.exchange(0);
    while (segment != 0) {
        const Offset previous = head_of<SegmentHead>(segment).previous;
        destroy_payload(heap().at(segment));
        segment = previous;
    }
}

MULTIPROCESSING_INLINE void discard_contents(Batch& batch) noexcept {
    for (std::uint32_t index = 0; index < batch.chunk_count(); ++index) {
        Chunk& chunk = batch.chunks()[index];
        // Looked at first: most have none, and an exchange costs as much as a small task.
        const bool has_some = chunk.error.load(std::memory_order_relaxed) != 0 ||
                              chunk.output.load(std::memory_order_relaxed) != 0;
        if (has_some) discard_results(chunk);
    }
    if (const Offset message = std::exchange(batch.message, 0)) {
        const bool lies_in_batch = message - batch.whole.batch < batch.size;
        const auto* const place =
            lies_in_batch ? batch.at<std::byte>(message - batch.whole.batch) : heap().at(message);
        drop_handles(PayloadView(place).handles());
        if (!lies_in_batch) deallocate(heap().at(message), true);
    }
}

MULTIPROCESSING_INLINE void release_arrays(Batch& batch) noexcept {
    constexpr std::uint64_t page = 4096;
    constexpr std::uint64_t worth_a_call = std::uint64_t{1} << 20;
    const Offset block = heap().offset_of(&batch);
    const Offset begin = (block + batch.items + page - 1) / page * page;
    const Offset end = block + batch.size;
    if (begin + worth_a_call < end) heap().segment().release_pages(begin, end - begin);
}

MULTIPROCESSING_INLINE void BatchDeleter::operator()(Batch* batch) const noexcept {
    if (depth != fork_depth()) return;  // a forked child's copy of a pool
    discard_contents(*batch);
    deallocate(batch);
}

constexpr std::uint64_t round_up(std::uint64_t size) noexcept {
    return (size + block_alignment - 1) / block_alignment * block_alignment;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE BatchOwner allocate_batch(const BatchShape& shape) {
    const std::uint64_t chunks = (shape.items + shape.chunk_size - 1) / shape.chunk_size;
    if (chunks >= no_chunk)
        throw ValueError("more than 4,294,967,294 chunks: use a larger chunksize");
    const std::uint64_t starts = round_up(sizeof(Batch) + chunks * sizeof(Chunk));
    const std::uint64_t items =
        round_up(starts + small_message + (shape.item_size == 0 ? chunks * 8 : 0));
    const std::uint64_t results = round_up(items + shape.items * shape.item_size);
    const std::uint64_t size = results + shape.items * shape.result_size;
    void* const block = allocate(size);
    // Only the head and the chunks need to be zero; the rest is written before it is read.
    BatchOwner batch(new (block) Batch{});
    std::uninitialized_value_construct_n(batch->chunks(), chunks);
    batch->whole.end = static_cast<std::uint32_t>(chunks);
    batch->whole.batch = heap().offset_of(block);
    batch->item_count = shape.items;
    batch->chunk_size = shape.chunk_size;
    batch->chunk_starts = starts + small_message;
    batch->items = items;
    batch->results = results;
    batch->size = size;
    return batch;
}

MULTIPROCESSING_INLINE bool set_plain_message(Batch& batch, const void* factory,
                                              const void* function) {
    const std::array<std::uint64_t, 2> content{word_for(factory), word_for(function)};
    if (content[0] == 0 || content[1] == 0) return false;
    const PayloadHeader header{sizeof content, 0, 0};
    auto* const place = batch.at<std::byte>(place_of_message(batch));
    std::memcpy(place, &header, sizeof header);
    std::memcpy(place + sizeof header, content.data(), sizeof content);
    batch.message = batch.whole.batch + place_of_message(batch);
    return true;
}

MULTIPROCESSING_INLINE void set_message(Batch& batch, OutputArchive& archive, PayloadRoom& room) {
    if (payload_size(archive) <= small_message) {
        write_payload(archive, batch.at<std::byte>(place_of_message(batch)));
        batch.message = batch.whole.batch + place_of_message(batch);
    } else {
        batch.message = heap().offset_of(room.finish(archive));
    }
}

}  // namespace multiprocessing::detail
