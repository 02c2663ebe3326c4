// multiprocessing/pool/tasks/results.ipp
//
// How results are committed, and errors noted and read: see results.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/tasks/results.hpp"

#include <unistd.h>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/pool/board/task_place.hpp"
#include "multiprocessing/process/state.hpp"

namespace multiprocessing::detail {

[[gnu::noinline]] MULTIPROCESSING_INLINE void record_error(Batch& batch, Chunk& chunk,
                                                           std::uint32_t item,
                                                           const std::exception_ptr& error,
                                                           std::uint32_t count,
                                                           bool thrown_by_task) {
    failures_noted += count;
    const Offset previous = chunk.error.load(std::memory_order_relaxed);
    if (previous != 0 && batch.keep_errors == 0) {
        chunk.failures.fetch_add(count, std::memory_order_relaxed);
        return;
    }
    OutputArchive archive;
    const std::uint32_t attempts = (item == chunk.start ? chunk.attempts : 0) + 1;
    archive(ErrorHead{previous, item, count, thrown_by_task ? 1u : 0u, attempts});
    save_exception(archive, error, state().name(), ::getpid());
    // The one store that commits the error. release: pairs with the acquire loads in find_error,
    // first_error and throw_first_error.
    chunk.error.store(heap().offset_of(make_payload(archive)), std::memory_order_release);
    chunk.failures.fetch_add(count, std::memory_order_relaxed);
}

[[gnu::noinline]] MULTIPROCESSING_INLINE std::exception_ptr read_error(const Batch& batch,
                                                                       Offset error,
                                                                       std::uint64_t item) {
    const PayloadView payload(heap().at(error));
    InputArchive archive(payload.bytes(), payload.handles());
    const auto head = archive.read<ErrorHead>();
    const bool is_of_owner = head.thrown_by_task == 0;  // whose error names the task already
    const bool is_only_one = batch.item_count == 1 && batch.keep_errors == 0;
    if (is_of_owner || is_only_one) return load_exception(archive);
    return load_exception(archive, describe_task(batch, item, head.attempts));
}

MULTIPROCESSING_INLINE Offset find_error(const Chunk& chunk, std::uint32_t item) noexcept {
    Offset found = 0;
    Offset error = chunk.error.load(std::memory_order_acquire);
    while (error != 0) {
        const auto head = head_of<ErrorHead>(error);
        if (item - head.item < head.count) found = error;  // unsigned: none before the first
        error = head.previous;
    }
    return found;
}

MULTIPROCESSING_INLINE Offset first_error(Batch& batch) noexcept {
    for (std::uint32_t index = 0; index < batch.chunk_count(); ++index) {
        const Offset error = batch.chunks()[index].error.load(std::memory_order_acquire);
        if (error != 0) return error;
    }
    return 0;
}

MULTIPROCESSING_INLINE void throw_first_error(Batch& batch) {
    for (std::uint32_t index = 0; index < batch.chunk_count(); ++index) {
        const Chunk& chunk = batch.chunks()[index];
        const Offset error = chunk.error.load(std::memory_order_acquire);
        if (error == 0) continue;
        const std::uint64_t first = std::uint64_t{index} * batch.chunk_size;
        std::rethrow_exception(read_error(batch, error, first + head_of<ErrorHead>(error).item));
    }
}

MULTIPROCESSING_INLINE std::uint32_t committed_items(const Chunk& chunk) noexcept {
    const Offset segment = chunk.output.load(std::memory_order_acquire);
    if (segment == 0) return 0;
    const auto head = head_of<SegmentHead>(segment);
    return head.first + head.count;
}

MULTIPROCESSING_INLINE SegmentWriter::SegmentWriter(const ChunkContext& context,
                                                    std::uint32_t first)
    : each_(context.batch.commit_each != 0), chunk_(context.chunk), first_(first) {
    archive_(SegmentHead{});
}

MULTIPROCESSING_INLINE void SegmentWriter::skip() {
    commit();
    ++first_;
}

MULTIPROCESSING_INLINE void SegmentWriter::commit() {
    if (count_ == 0) return;
    const SegmentHead head{chunk_.output.load(std::memory_order_relaxed), first_, count_};
    archive_.overwrite(0, &head, sizeof head);
    // The one store that commits the results. release: pairs with the acquire loads in
    // committed_items and segments_of.
    chunk_.output.store(heap().offset_of(room_.finish(archive_)), std::memory_order_release);
    archive_(SegmentHead{});
    first_ += count_;
    count_ = 0;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE std::vector<Offset> segments_of(const Chunk& chunk) {
    std::vector<Offset> segments;
    Offset segment = chunk.output.load(std::memory_order_acquire);
    while (segment != 0) {
        segments.push_back(segment);
        segment = head_of<SegmentHead>(segment).previous;
    }
    return segments;
}

}  // namespace multiprocessing::detail
