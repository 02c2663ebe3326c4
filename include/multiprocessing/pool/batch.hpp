// multiprocessing/pool/batch.hpp
//
// How a call becomes a batch in the heap: a block with its chunks, its items and the places for its
// results where those are plain bytes; a message with the function and the items that are not,
// which lies in the same block when it is small.
// Floor 5. Start at make_batch. SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "multiprocessing/pool/board.hpp"
#include "multiprocessing/pool/items.hpp"
#include "multiprocessing/pool/results.hpp"
#include "multiprocessing/pool/runner.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

/// Frees the results and errors of a chunk.
[[gnu::noinline]] inline void discard_results(Chunk& chunk) noexcept {
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

/// Frees what a batch holds beside its own block. @pre nobody runs or reads it any more
[[gnu::hot]] inline void discard_contents(Batch& batch) noexcept {
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
        if (!lies_in_batch) deallocate(heap().at(message));
    }
}

/// Gives the memory of a batch's plain items and results back, where it is worth a system call: the
/// block itself stays until no worker looks at it, which may be at the pool's next call.
inline void release_arrays(Batch& batch) noexcept {
    constexpr std::uint64_t page = 4096;
    constexpr std::uint64_t worth_a_call = std::uint64_t{1} << 20;
    const Offset block = heap().offset_of(&batch);
    const Offset begin = (block + batch.items + page - 1) / page * page;
    const Offset end = block + batch.size;
    if (begin + worth_a_call < end) heap().segment().release_pages(begin, end - begin);
}

/// Owns a batch until it is handed to the pool, so that an error on the way leaves nothing behind.
struct BatchDeleter {
    std::uint32_t depth = fork_depth();

    void operator()(Batch* batch) const noexcept {
        if (depth != fork_depth()) return;  // a forked child's copy of a pool
        discard_contents(*batch);
        deallocate(batch);
    }
};
using BatchOwner = std::unique_ptr<Batch, BatchDeleter>;

constexpr std::uint64_t round_up(std::uint64_t size) noexcept {
    return (size + block_alignment - 1) / block_alignment * block_alignment;
}

/// The sizes of a batch's parts.
struct BatchShape {
    std::uint64_t items;
    std::uint32_t chunk_size;
    std::size_t item_size;    // 0: serialised
    std::size_t result_size;  // 0: none, or serialised
};

/// Room for a message in the batch's own block: one of a function and little with it.
constexpr std::size_t small_message = 256;  // bytes

/// Allocates a batch of that shape, its items and message still to be filled in.
/// @throws std::bad_alloc
[[gnu::noinline, gnu::hot]] inline BatchOwner allocate_batch(const BatchShape& shape) {
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

/// Where in its block a batch's message is if it is small.
inline std::uint64_t place_of_message(const Batch& batch) noexcept {
    return sizeof(Batch) + batch.chunk_count() * sizeof(Chunk);
}
/// Returns where the content of a message begins its life, where it can stay if it is small.
inline std::span<std::byte> room_for_message(Batch& batch) noexcept {
    return {batch.at<std::byte>(place_of_message(batch) + sizeof(PayloadHeader)),
            small_message - sizeof(PayloadHeader)};
}

/// Gives a batch the message that a write of these two functions to an archive would be, if both
/// are the program's own. @returns whether they are
inline bool set_plain_message(Batch& batch, const void* factory, const void* function) {
    const std::array<std::uint64_t, 2> content{word_for(factory), word_for(function)};
    if (content[0] == 0 || content[1] == 0) return false;
    const PayloadHeader header{sizeof content, 0, 0};
    auto* const place = batch.at<std::byte>(place_of_message(batch));
    std::memcpy(place, &header, sizeof header);
    std::memcpy(place + sizeof header, content.data(), sizeof content);
    batch.message = batch.whole.batch + place_of_message(batch);
    return true;
}

/// Gives a batch its message. @throws std::bad_alloc
inline void set_message(Batch& batch, OutputArchive& archive) {
    if (payload_size(archive) <= small_message) {
        write_payload(archive, batch.at<std::byte>(place_of_message(batch)));
        batch.message = batch.whole.batch + place_of_message(batch);
    } else {
        batch.message = heap().offset_of(make_payload(archive));
    }
}

template <class T>
constexpr std::size_t plain_size() noexcept {
    if constexpr (std::is_void_v<T>) {
        return 0;
    } else {
        return bitwise<T> ? sizeof(T) : 0;
    }
}

/// Makes the batch that calls `f` for each item of `range`.
/// @param count how many items the range has
template <class F, class Item, bool spread, class Range>
[[gnu::hot]] BatchOwner make_batch(const F& f, Range&& range, std::uint64_t count,
                                   std::uint32_t chunk_size) {
    using Runner = TypedRunner<F, Item, spread>;
    BatchOwner batch = allocate_batch(
        {count, chunk_size, plain_size<Item>(), plain_size<typename Runner::Result>()});
    const auto for_each_item = [&](auto use) {
        std::uint64_t index = 0;
        for (auto&& element : range) {
            if (index == count) break;  // a range that grew meanwhile
            use(index, convert_item<F, Item, spread>(std::forward<decltype(element)>(element)));
            ++index;
        }
        if (index != count) throw ValueError("the range ended before the size it gave");
    };
    if constexpr (bitwise<Item>) {
        auto* const items = batch->at<Item>(batch->items);
        for_each_item(
            [items](std::uint64_t index, const Item& item) { new (items + index) Item(item); });
    }
    if constexpr (bitwise<Item> && std::is_pointer_v<F>) {
        // The usual call, for which an archive has much more to offer than it needs.
        const bool is_set =
            set_plain_message(*batch, reinterpret_cast<const void*>(Runner::receive),
                              reinterpret_cast<const void*>(f));
        if (is_set) return batch;
    }
    OutputArchive archive(room_for_message(*batch));
    archive(RunnerFactory{Runner::receive}, f);
    if constexpr (!bitwise<Item>) {
        auto* const starts = batch->at<std::uint64_t>(batch->chunk_starts);
        for_each_item([&](std::uint64_t index, const Item& item) {
            if (index % chunk_size == 0) starts[index / chunk_size] = archive.size();
            write_sized(archive, item);
        });
    }
    set_message(*batch, archive);
    return batch;
}

}  // namespace multiprocessing::detail
