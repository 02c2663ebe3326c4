// multiprocessing/queues/record.hpp
//
// How the items of a queue lie in the heap: one after the other as records, in chunks that grow
// with the queue and are freed behind it. Floor 4. Start at Record.
//
// The bytes of a chunk, a block of the heap:
//      0  u32  its size, in bytes
//      4  u32  unused
//      8  u64  unused
//     16       records, each at a multiple of 16
//
// The bytes of a record:
//      0  u64  head; 0: not written yet
//               bits 0, 1    kind
//               bits 2 … 31  how many records behind this one were put in the same step
//               bits 32 …    size of the content, in bytes
//      8       the content, by kind:
//               bytes    the serialised item
//               payload  u64, the place of the payload (reduction/archive/payload.hpp) with the
//               item link     u64, the place of the next chunk; no record follows in this one
// One store commits a record: that of its head. Before it, the writer sets the head behind the
// record to 0, so that a reader that goes on finds the end. Records that are put together lie in
// one chunk. The head of the first is stored last and commits them all: nobody looks behind a
// record that is not written yet. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "multiprocessing/heap.hpp"

namespace multiprocessing::detail {

constexpr std::size_t record_alignment = 16;
constexpr std::size_t small_chunk = std::size_t{1} << 10;   // of a new queue
constexpr std::size_t medium_chunk = std::size_t{1} << 12;  // of a queue whose consumers keep up
constexpr std::size_t large_chunk = std::size_t{1} << 16;   // gives its pages back when it is freed

enum class RecordKind : std::uint32_t { none, bytes, payload, link };

/// The head of a record.
struct RecordHead {
    std::uint64_t word;

    static constexpr RecordHead make(RecordKind kind, std::size_t size) noexcept {
        return {static_cast<std::uint64_t>(kind) | std::uint64_t{size} << 32};
    }
    /// Returns the head of a record with that many records behind it that are put in the same step.
    /// @pre it is one of make
    [[nodiscard]] constexpr RecordHead followed_by(std::uint32_t count) const noexcept {
        return {word | std::uint64_t{count} << 2};
    }
    [[nodiscard]] constexpr RecordKind kind() const noexcept {
        return static_cast<RecordKind>(word & 3);
    }
    [[nodiscard]] constexpr std::size_t size() const noexcept { return word >> 32; }
    [[nodiscard]] constexpr std::uint32_t followers() const noexcept {
        return static_cast<std::uint32_t>(word) >> 2;
    }
    [[nodiscard]] constexpr bool is_committed() const noexcept { return word != 0; }
    /// Returns whether it is the head of an item, which a reader takes.
    [[nodiscard]] constexpr bool is_item() const noexcept {
        return is_committed() && kind() != RecordKind::link;
    }
};

/// A record, or a place for one.
class Record {
  public:
    explicit Record(Offset offset) noexcept : offset_(offset), bytes_(heap().at_covered(offset)) {}

    static constexpr std::size_t size_with(std::size_t content) noexcept {
        return (sizeof(std::uint64_t) + content + record_alignment - 1) / record_alignment *
               record_alignment;
    }

    /// Returns the head. If it is committed, the caller may read the content.
    [[nodiscard]] RecordHead head() const noexcept {
        return {word().load(std::memory_order_acquire)};  // pairs with commit
    }
    [[nodiscard]] const std::byte* content() const noexcept {
        return bytes_ + sizeof(std::uint64_t);
    }
    /// Returns the content of a payload or a link: the place that it refers to.
    [[nodiscard]] Offset target() const noexcept {
        Offset target = 0;
        std::memcpy(&target, content(), sizeof(target));
        return target;
    }

    /// Marks the place as not written yet.
    void clear() const noexcept { word().store(0, std::memory_order_relaxed); }

    void fill(const void* content, std::size_t size) const noexcept {
        std::memcpy(bytes_ + sizeof(std::uint64_t), content, size);
    }

    /// Makes the record visible. The head behind it must be clear already.
    void commit(RecordHead head) const noexcept {
        word().store(head.word, std::memory_order_release);  // pairs with head()
    }

    /// Sets the head of a record behind one that is not committed yet, and is committed with it.
    void set_head(RecordHead head) const noexcept {
        word().store(head.word, std::memory_order_relaxed);
    }

    [[nodiscard]] Offset place() const noexcept { return offset_; }
    /// Returns the place behind this record.
    [[nodiscard]] Offset behind(std::size_t content) const noexcept {
        return offset_ + size_with(content);
    }
    /// Returns the record behind this one, in the same chunk.
    [[nodiscard]] Record next(std::size_t content) const noexcept {
        return {behind(content), bytes_ + size_with(content)};
    }

    /// Returns the head of the record at `offset`, as a guess: the chunk may have been freed
    /// meanwhile, and may hold anything by now.
    static RecordHead guess(Offset offset) noexcept;

  private:
    Record(Offset offset, std::byte* bytes) noexcept : offset_(offset), bytes_(bytes) {}

    [[nodiscard]] std::atomic<std::uint64_t>& word() const noexcept {
        return *reinterpret_cast<std::atomic<std::uint64_t>*>(bytes_);
    }

    Offset offset_;
    std::byte* bytes_;
};

/// The largest content of a record of the kind `bytes`. A larger item costs a block of its own, but
/// is not copied while the lock is held.
constexpr std::size_t largest_inline = small_chunk - 3 * record_alignment - sizeof(std::uint64_t);

/// A chunk of records.
class RecordChunk {
  public:
    explicit RecordChunk(Offset offset) noexcept : offset_(offset) {}

    /// Makes an empty chunk. @param size in bytes @throws std::bad_alloc
    static RecordChunk make(std::size_t size);

    /// Returns the size of a chunk for records that take `size` bytes in all, and a link.
    static constexpr std::size_t size_for(std::size_t size) noexcept {
        return size + 2 * record_alignment;
    }

    void free() const noexcept { heap().allocator().deallocate(offset_); }

    [[nodiscard]] Offset offset() const noexcept { return offset_; }
    /// Returns the place of the first record.
    [[nodiscard]] Offset first() const noexcept { return offset_ + record_alignment; }
    [[nodiscard]] std::size_t size() const noexcept {
        return *heap().at_covered<std::uint32_t>(offset_);
    }

    /// Returns whether a record of `size` bytes at `place` leaves room for a link behind it.
    [[nodiscard]] bool has_room(Offset place, std::size_t size) const noexcept {
        return place + size + record_alignment <= offset_ + this->size();
    }

  private:
    Offset offset_;
};
static_assert(Record::size_with(largest_inline) + 2 * record_alignment <= small_chunk);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/queues/record.ipp"
#endif
