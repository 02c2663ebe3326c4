// multiprocessing/queues/line.hpp
//
// The two ends of a queue's line of records: where the next one is written, and where the next one
// is read. Nothing here takes a lock: the caller holds the lock of the end that it uses. Floor 4.
// Start at LineEnd.
//
// The position of an end is one word, and the store of that word commits. It has the place of a
// record and the number of the item there, so the length of the line is always the difference
// between the two positions:
//      0 … 36   the place in the heap, in units of 16 bytes
//     37 … 63   how many items came before, modulo 2^27
// A line may have had more items than that. So each end also counts roughly, see LineEnd::number.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/queues/batch.hpp"
#include "multiprocessing/queues/record.hpp"
#include "multiprocessing/synchronize/lock_word.hpp"

namespace multiprocessing::detail {

/// A place in the line.
class Position {
  public:
    static constexpr unsigned place_bits = 37;
    static constexpr std::uint32_t number_mask = (std::uint32_t{1} << (64 - place_bits)) - 1;

    constexpr explicit Position(std::uint64_t word) noexcept : word_(word) {}
    constexpr Position(Offset place, std::uint32_t number) noexcept
        : word_(place / record_alignment | std::uint64_t{number} << place_bits) {}

    [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
    [[nodiscard]] constexpr Offset place() const noexcept {
        return (word_ & ((std::uint64_t{1} << place_bits) - 1)) * record_alignment;
    }
    [[nodiscard]] constexpr std::uint32_t number() const noexcept {
        return static_cast<std::uint32_t>(word_ >> place_bits);
    }
    /// Returns the position `count` items on, which is at `place`.
    [[nodiscard]] constexpr Position next(Offset place, std::uint32_t count = 1) const noexcept {
        return {place, (number() + count) & number_mask};
    }
    /// Returns the number of items from the one with the number `first` to here.
    [[nodiscard]] constexpr std::uint32_t since(std::uint32_t first) const noexcept {
        return (number() - first) & number_mask;
    }

  private:
    std::uint64_t word_;
};
static_assert(Position::place_bits >= 41 - 4, "a segment has at most 2^41 bytes");

/// One end of the line, on cache lines of its own. Only the holder of the lock changes the other
/// words; everybody may read the position.
///
/// A step to another chunk takes two stores, of `position` and of `chunk`. A writer that is killed
/// between them leaves a position before the link that it has committed, and the next writer takes
/// the same step again. A reader that is killed there leaves a `chunk` that is behind, so one chunk
/// is never freed.
struct alignas(64) LineEnd {
    LockWord lock;                           //  0
    std::atomic<std::uint64_t> position{0};  //  8  see Position
    std::atomic<Offset> chunk{0};            // 16  the chunk that the position is in
    FutexWord event{0};                      // 24  who waits for this end to move sleeps on it
    std::uint32_t seen = 0;  // 28  the writer's: a number of the reader's, perhaps an old one
    std::atomic<std::uint64_t> count{0};  // 32  items before some place in the last chunk or two
    std::byte unused[88];  // 40  x86 fetches cache lines in pairs: the ends must not share a pair

    [[nodiscard]] Position at() const noexcept {
        return Position(position.load(std::memory_order_acquire));  // pairs with move_to
    }
    /// Returns how many items came before a position that this end has, or had a short time ago.
    /// The position has that number modulo 2^27; of those that match, this is the nearest to
    /// `count`. A chunk has far fewer than 2^26 items, so that is the right one.
    [[nodiscard]] std::uint64_t number(Position of) const noexcept {
        constexpr std::uint64_t half = (Position::number_mask >> 1) + 1;
        const std::uint64_t start = count.load(std::memory_order_relaxed) - half;
        // Modulo 2^64: this holds for the first items too, where the start is below 0.
        return start + ((of.number() - start) & Position::number_mask);
    }
    void move_to(Position next) noexcept {
        // release: commits; whoever sees the new position sees what was done before it.
        position.store(next.word(), std::memory_order_release);
    }
    /// Goes on to another chunk.
    void move_to(RecordChunk next, Position from) noexcept;
};
static_assert(sizeof(LineEnd) == 128);

/// Steps over one record that a killed writer had committed but not counted. With the writer's
/// lock.
[[gnu::cold]] void count_record(LineEnd& writer, Position at) noexcept;

/// Steps over the records that a killed writer had committed but not counted. With the writer's
/// lock. @returns where the next record goes
[[gnu::always_inline]] inline Position settle(LineEnd& writer) noexcept {
    heap().allocator().cover();  // what others have put since; the records rely on it
    for (;;) {
        const Position at = writer.at();
        if (!Record(at.place()).head().is_committed()) [[likely]]
            return at;
        count_record(writer, at);
    }
}

/// Goes on to a new chunk. With the writer's lock.
/// @param backlog how many items lie in the line
/// @param size of the records that it must have room for, in bytes
/// @returns where the first record of the chunk goes
Position begin_chunk(LineEnd& writer, Position at, std::uint32_t backlog, std::size_t size);

/// Appends a record. With the writer's lock.
/// @param at what settle has returned
/// @throws std::bad_alloc; then nothing has changed
[[gnu::always_inline]] inline void append(LineEnd& writer, const LineEnd& reader, Position at,
                                          RecordHead head, const void* content) {
    const std::size_t size = head.size();
    if (!RecordChunk(writer.chunk.load(std::memory_order_relaxed))
             .has_room(at.place(), Record::size_with(size))) [[unlikely]] {
        at = begin_chunk(writer, at, at.since(reader.at().number()), Record::size_with(size));
    }
    const Record record(at.place());
    record.fill(content, size);
    Record(record.behind(size)).clear();
    record.commit(head);  // from here on the item is there, even if this process is killed
    writer.move_to(at.next(record.behind(size)));
}

/// Appends the next `count` items of a batch in one step. With the writer's lock.
/// @param at what settle has returned
/// @throws std::bad_alloc; then nothing has changed
void append(LineEnd& writer, const LineEnd& reader, Position at, OutgoingBatch& batch,
            std::uint32_t count);

/// Takes out what there is, as long as the batch has room. With the reader's lock.
/// @returns how many items were taken
/// @throws std::bad_alloc; then none was taken
std::size_t take(LineEnd& reader, const LineEnd& writer, IncomingBatch& batch);

/// Follows a link to the next chunk and frees the one that is read. With the reader's lock.
/// @param at the position of the link
/// @returns false when the writer has not gone on to the next chunk yet
bool follow_link(LineEnd& reader, const LineEnd& writer, Position at) noexcept;

/// Finds the next record. With the reader's lock.
/// @param at set to where it is
/// @returns whether there is one
inline bool find_next(LineEnd& reader, const LineEnd& writer, Position& at) noexcept {
    for (;;) {
        heap().allocator().cover();  // as in settle; again behind a link, which may be newer
        at = reader.at();
        const RecordHead head = Record(at.place()).head();
        if (head.kind() != RecordKind::link) [[likely]]
            return head.is_committed();
        if (!follow_link(reader, writer, at)) return false;
    }
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/queues/line.ipp"
#endif
