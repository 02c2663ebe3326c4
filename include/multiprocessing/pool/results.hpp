// multiprocessing/pool/results.hpp
//
// How the results and errors of a chunk come back from its worker. Results that are plain bytes
// have their place in the batch; others come in segments, and errors one by one, both as lists that
// hang on the chunk. Floor 5. Start at ResultWriter and record_error. SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/pool/board.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

/// A chunk as its worker sees it.
struct ChunkContext {
    Batch& batch;
    Chunk& chunk;
    std::uint32_t index;
    std::atomic<std::uint32_t>& item;  // where to say which item it is at
};

/// Reads the head of a payload in the heap.
template <class Head>
Head head_of(Offset payload) noexcept {
    Head head;
    std::memcpy(&head, PayloadView(heap().at(payload)).bytes().data(), sizeof head);
    return head;
}

/// What an error of an item begins with.
struct ErrorHead {
    Offset previous;     // the error recorded before it, 0 none
    std::uint32_t item;  // in the chunk
    std::uint32_t unused;
};

/// Notes the error of an item of a chunk; of all but the first only where the batch keeps them.
[[gnu::cold, gnu::noinline]] inline void record_error(Batch& batch, Chunk& chunk,
                                                      std::uint32_t item,
                                                      const std::exception_ptr& error) {
    const Offset previous = chunk.error.load(std::memory_order_relaxed);
    if (previous != 0 && batch.keep_errors == 0) return;
    OutputArchive archive;
    archive(ErrorHead{previous, item, 0});
    save_exception(archive, error, state().name(), ::getpid());
    chunk.error.store(heap().offset_of(make_payload(archive)), std::memory_order_release);
}

/// Makes the exception that lies at `error` again.
[[gnu::cold, gnu::noinline]] inline std::exception_ptr read_error(Offset error) {
    const PayloadView payload(heap().at(error));
    InputArchive archive(payload.bytes(), payload.handles());
    (void)archive.read<ErrorHead>();
    return load_exception(archive);
}

/// Returns the error of an item, 0 when it has none.
inline Offset find_error(const Chunk& chunk, std::uint32_t item) noexcept {
    Offset error = chunk.error.load(std::memory_order_acquire);
    while (error != 0) {
        const auto head = head_of<ErrorHead>(error);
        if (head.item == item) return error;
        error = head.previous;
    }
    return 0;
}

/// Returns the first error of a batch that counts the first ones only, 0 when there is none.
inline Offset first_error(Batch& batch) noexcept {
    for (std::uint32_t index = 0; index < batch.chunk_count(); ++index) {
        const Offset error = batch.chunks()[index].error.load(std::memory_order_acquire);
        if (error != 0) return error;
    }
    return 0;
}

/// Throws the error of the first item that failed, if one did.
inline void throw_first_error(Batch& batch) {
    if (const Offset error = first_error(batch)) std::rethrow_exception(read_error(error));
}

/// A run of consecutive results that are not plain bytes, at the beginning of its payload.
struct SegmentHead {
    Offset previous;      // the segment before it, 0 none
    std::uint32_t first;  // its first item
    std::uint32_t count;
};

/// Returns before which item the chunk's serialised results are committed.
inline std::uint32_t committed_items(const Chunk& chunk) noexcept {
    const Offset segment = chunk.output.load(std::memory_order_acquire);
    if (segment == 0) return 0;
    const auto head = head_of<SegmentHead>(segment);
    return head.first + head.count;
}

/// Writes a value behind its size, so that one that cannot be read takes no other along.
template <class T>
void write_sized(OutputArchive& archive, const T& value) {
    const std::size_t begin = archive.size();
    archive.forget_shared();  // each value is read by an archive of its own
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

/// Collects a chunk's results that are not plain bytes, and commits them.
template <class R>
class ResultWriter {
  public:
    ResultWriter(const ChunkContext& context, std::uint32_t first)
        : chunk_(context.chunk), each_(context.batch.commit_each != 0), first_(first) {
        archive_(SegmentHead{});
    }

    /// @throws what serialising the result throws; the writer is then as it was before
    void add(const R& result) {
        write_sized(archive_, result);
        ++count_;
        if (each_) commit();
    }

    /// Leaves out an item that failed.
    void skip() {
        commit();
        ++first_;
    }

    /// Hands the results over: one store of the segment's place.
    void commit() {
        if (count_ == 0) return;
        const SegmentHead head{chunk_.output.load(std::memory_order_relaxed), first_, count_};
        archive_.overwrite(0, &head, sizeof head);
        chunk_.output.store(heap().offset_of(make_payload(archive_)), std::memory_order_release);
        archive_.clear();
        archive_(SegmentHead{});
        first_ += count_;
        count_ = 0;
    }

  private:
    Chunk& chunk_;
    bool each_;
    std::uint32_t first_;
    std::uint32_t count_ = 0;
    OutputArchive archive_;
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

/// Counts nothing: the results of a function that returns none.
struct NoResultWriter {
    NoResultWriter(const ChunkContext&, std::uint32_t) noexcept {}
    void skip() noexcept {}
    void commit() noexcept {}
};

/// Returns the segments of a chunk, the first one last.
[[gnu::noinline]] inline std::vector<Offset> segments_of(const Chunk& chunk) {
    std::vector<Offset> segments;
    Offset segment = chunk.output.load(std::memory_order_acquire);
    while (segment != 0) {
        segments.push_back(segment);
        segment = head_of<SegmentHead>(segment).previous;
    }
    return segments;
}

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
