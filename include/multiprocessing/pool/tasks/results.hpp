// multiprocessing/pool/tasks/results.hpp
//
// How the results and errors of a chunk come back from its worker. Results that are plain bytes
// have their places in the batch. Other results come in segments, and errors one by one: both are
// lists that hang on the chunk. Floor 5. Start at ResultWriter and record_error.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <span>
#include <type_traits>
#include <vector>

#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

class RetryRule;

/// A chunk as its worker sees it.
struct ChunkContext {
    Batch& batch;
    Chunk& chunk;
    std::uint32_t index;
    std::atomic<std::uint32_t>& item;  // where the worker notes which item it is at
    RetryRule* retry = nullptr;        // null: what a task throws is its error
};

/// Reads the head of a payload in the heap.
template <class Head>
Head head_of(Offset payload) noexcept {
    Head head;
    std::memcpy(&head, PayloadView(heap().at(payload)).bytes().data(), sizeof head);
    return head;
}

/// What lies at the beginning of an error's payload.
struct ErrorHead {
    Offset previous;               // the error recorded before it, 0 none
    std::uint32_t item;            // in the chunk: the first item that has this error
    std::uint32_t count;           // how many items in a row have it
    std::uint32_t thrown_by_task;  // whether a task threw it; else the owner has made it
    std::uint32_t attempts;        // how often the item was tried
};

/// How many items' errors this thread has noted. A worker counts its failures by it: a look at the
/// chunk, which shares its cache line with another worker's, would cost more than a small task.
inline constinit thread_local std::uint32_t failures_noted = 0;

/// Notes the error of an item of a chunk, or of several items in a row. Errors after the chunk's
/// first one are noted only where the batch keeps them.
[[gnu::cold]] void record_error(Batch& batch, Chunk& chunk, std::uint32_t item,
                                const std::exception_ptr& error, std::uint32_t count = 1,
                                bool thrown_by_task = true);

/// Makes the exception that lies at `error` again. Where the task was one of several, the exception
/// says which one.
/// @param item in the batch: the one whose error is wanted, where several have it
[[gnu::cold]] std::exception_ptr read_error(const Batch& batch, Offset error, std::uint64_t item);

/// Returns the error of an item, 0 when it has none. An error of its own is older than one that it
/// shares with all items that were lost with it.
Offset find_error(const Chunk& chunk, std::uint32_t item) noexcept;

/// Returns the first error of a batch that counts only the first ones, 0 when there is none.
Offset first_error(Batch& batch) noexcept;

/// Throws the error of the first item that failed, if there is one.
void throw_first_error(Batch& batch);

/// What lies at the beginning of a segment's payload. A segment is a run of consecutive results
/// that are not plain bytes.
struct SegmentHead {
    Offset previous;      // the segment before it, 0 none
    std::uint32_t first;  // its first item
    std::uint32_t count;
};

/// Returns the item before which the chunk's serialised results are committed.
std::uint32_t committed_items(const Chunk& chunk) noexcept;

/// Writes a value's size and then the value, so that the values after one that cannot be read can
/// still be read.
template <class T>
void write_sized(OutputArchive& archive, const T& value) {
    const std::size_t begin = archive.size();
    archive.forget_shared();  // an archive of its own reads each value
    try {
        archive(std::uint64_t{0}, value);
    } catch (...) {
        archive.truncate(begin);
        throw;
    }
    const std::uint64_t size = archive.size() - begin - sizeof(std::uint64_t);
    archive.overwrite(begin, &size, sizeof size);
}

/// Returns the bytes of the next value that write_sized wrote.
inline std::span<const std::byte> take_sized(InputArchive& archive) {
    const std::size_t size = archive.read_size();
    return {archive.take(size), size};
}

/// The part of ResultWriter that does not depend on the type of the results.
class SegmentWriter {
  public:
    SegmentWriter(const ChunkContext& context, std::uint32_t first);

    /// Leaves out an item that failed.
    void skip();

    /// Commits the results that were added since the last time.
    [[gnu::hot]] void commit();

  private:
    PayloadRoom room_;

  protected:
    OutputArchive archive_{room_.growth()};
    std::uint32_t count_ = 0;
    const bool each_;

  private:
    Chunk& chunk_;
    std::uint32_t first_;
};

/// Collects a chunk's results that are not plain bytes, and commits them.
template <class R>
class ResultWriter : public SegmentWriter {
  public:
    using SegmentWriter::SegmentWriter;

    /// @throws what serialising the result throws; the writer is then as it was before
    void add(const R& result) {
        write_sized(archive_, result);
        ++count_;
        if (each_) commit();
    }
};

/// Writes a result of plain bytes to its place in the batch.
template <class R>
class PlainResultWriter {
  public:
    PlainResultWriter(const ChunkContext& context, std::uint32_t first)
        : next_(context.batch.at<R>(context.batch.results) +
                std::size_t{context.index} * context.batch.chunk_size + first) {}

    void add(const R& result) noexcept { new (next_++) R(result); }
    void skip() noexcept { ++next_; }
    void commit() noexcept {}

  private:
    R* next_;
};

/// Does nothing: the writer for a function that returns nothing.
struct NoResultWriter {
    NoResultWriter(const ChunkContext&, std::uint32_t) noexcept {}
    void skip() noexcept {}
    void commit() noexcept {}
};

/// Returns the segments of a chunk, the first one last.
std::vector<Offset> segments_of(const Chunk& chunk);

/// Calls `take(item, read)` for each serialised result of a chunk, where `read()` returns it.
template <class R, class Take>
void for_each_result(const Chunk& chunk, Take take) {
    std::vector<Offset> segments = segments_of(chunk);
    for (; !segments.empty(); segments.pop_back()) {
        const PayloadView payload(heap().at(segments.back()));
        InputArchive archive(payload.bytes(), payload.handles());
        const auto head = archive.read<SegmentHead>();
        for (std::uint32_t i = 0; i < head.count; ++i) {
            take(head.first + i, [bytes = take_sized(archive), &payload] {
                InputArchive result(bytes, payload.handles());
                result.keep_message();  // AsyncResult::get may be called again
                return result.read<R>();
            });
        }
    }
}

/// Returns the results of a complete batch, in input order. @throws the first failed item's error
template <class R>
std::vector<R> read_results(Batch& batch) {
    throw_first_error(batch);
    std::vector<R> results;
    if constexpr (bitwise<R>) {
        const R* const plain = batch.at<R>(batch.results);
        results.assign(plain, plain + batch.item_count);
    } else {
        results.reserve(batch.item_count);
        for (std::uint32_t index = 0; index < batch.chunk_count(); ++index) {
            for_each_result<R>(batch.chunks()[index],
                               [&](std::uint32_t, auto read) { results.push_back(read()); });
        }
    }
    return results;
}

/// Returns the result of a complete batch of one item. @throws the item's error
template <class R>
R read_only_result(Batch& batch) {
    throw_first_error(batch);
    if constexpr (std::is_void_v<R>) {
        return;
    } else if constexpr (bitwise<R>) {
        return *batch.at<R>(batch.results);
    } else {
        const PayloadView payload(heap().at(batch.chunks()[0].output.load()));
        InputArchive archive(payload.bytes(), payload.handles());
        archive.keep_message();
        (void)archive.read<SegmentHead>();
        (void)archive.read_size();
        return archive.read<R>();
    }
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/tasks/results.ipp"
#endif
