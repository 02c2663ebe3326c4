// multiprocessing/queues/line.hpp
//
// The two ends of a queue's line of records: where the next one is written, and where the next one
// is read. No locks here: each end is used by who holds its lock. Floor 4. Start at LineEnd.
//
// An end's position is one word, and storing it is what commits: it has the place of a record and
// the number of the item there, so that the length of the line is always the difference of the two.
//      0 … 36   the place in the heap, in units of 16 bytes
//     37 … 63   how many items came before, modulo 2^27
// A line may have more: each end says besides about how many came before, see LineEnd::number.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "multiprocessing/heap.hpp"
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
    /// Returns the position one item on, at `place`.
    [[nodiscard]] constexpr Position next(Offset place) const noexcept {
        return {place, (number() + 1) & number_mask};
    }
    /// Returns the number of items from `first` to here.
    [[nodiscard]] constexpr std::uint32_t since(std::uint32_t first) const noexcept {
        return (number() - first) & number_mask;
    }

  private:
    std::uint64_t word_;
};
static_assert(Position::place_bits >= 41 - 4, "a segment has at most 2^41 bytes");

/// One end of the line, on cache lines of its own. Only who holds the lock changes the other words;
/// others read the position.
///
/// `chunk` follows the position in two stores. A writer that is killed between them leaves a
/// position before the link that it has committed, and the next one takes the same step again; a
/// reader leaves a `chunk` that is behind, so that one chunk is not freed.
struct alignas(64) LineEnd {
    LockWord lock;                           //  0
    std::atomic<std::uint64_t> position{0};  //  8  see Position
    std::atomic<Offset> chunk{0};            // 16  where the position is
    FutexWord event{0};      // 24  what those sleep on who wait for this end to move
    std::uint32_t seen = 0;  // 28  the writer's: a number of the reader's, perhaps an old one
    std::atomic<std::uint64_t> count{0};  // 32  items before some place in the last chunk or two
    std::byte unused[88];  // 40  x86 fetches cache lines in pairs: no two ends in one

    [[nodiscard]] Position at() const noexcept {
        return Position(position.load(std::memory_order_acquire));  // pairs with move_to
    }
    /// Returns how many items came before a position of this end that it has or had of late: the
    /// number that is nearest to `count`, of which a chunk's items are far fewer than 2^26.
    [[nodiscard]] std::uint64_t number(Position of) const noexcept {
        constexpr std::uint64_t half = (Position::number_mask >> 1) + 1;
        const std::uint64_t start = count.load(std::memory_order_relaxed) - half;
        // Modulo 2^64: the first ones are as near to a start below 0.
        return start + ((of.number() - start) & Position::number_mask);
    }
    void move_to(Position next) noexcept {
        // release: commits; who sees the new position sees what was done to get there.
        position.store(next.word(), std::memory_order_release);
    }
    /// Goes on to another chunk.
    void move_to(RecordChunk next, Position from) noexcept {
        chunk.store(next.offset(), std::memory_order_relaxed);
        count.store(number(from), std::memory_order_relaxed);
        move_to(Position(next.first(), from.number()));
    }
};
static_assert(sizeof(LineEnd) == 128);

/// Steps over records that a killed writer had committed but not counted. With the writer's lock.
[[gnu::always_inline]] inline Position settle(LineEnd& writer) noexcept {
    heap().allocator().cover();  // what others have put since; the records rely on it
    for (;;) {
        const Position at = writer.at();
        const Record record(at.place());
        const RecordHead head = record.head();
        if (!head.is_committed()) [[likely]]
            return at;
        if (head.kind() == RecordKind::link) {
            writer.move_to(RecordChunk(record.target()), at);
        } else {
            writer.move_to(at.next(record.behind(head.size())));
        }
    }
}

/// Goes on to a new chunk. @param backlog how many items lie in the line
/// @returns where its first record goes
[[gnu::noinline]] inline Position begin_chunk(LineEnd& writer, Position at, std::uint32_t backlog) {
    constexpr std::uint32_t few = 64;
    const RecordChunk next = RecordChunk::make(backlog < few ? medium_chunk : large_chunk);
    const Record link(at.place());
    const Offset target = next.offset();
    link.fill(&target, sizeof(target));
    link.commit(RecordHead::make(RecordKind::link, sizeof(target)));
    writer.move_to(next, at);
    return {next.first(), at.number()};
}

/// Appends a record. With the writer's lock, `at` being where settle says.
/// @throws std::bad_alloc; then nothing has changed
[[gnu::always_inline]] inline void append(LineEnd& writer, const LineEnd& reader, Position at,
                                          RecordHead head, const void* content) {
    const std::size_t size = head.size();
    if (!RecordChunk(writer.chunk.load(std::memory_order_relaxed))
             .has_room(at.place(), Record::size_with(size))) [[unlikely]] {
        at = begin_chunk(writer, at, at.since(reader.at().number()));
    }
    const Record record(at.place());
    record.fill(content, size);
    Record(record.behind(size)).clear();
    record.commit(head);  // from here on the item is there, whatever becomes of this process
    writer.move_to(at.next(record.behind(size)));
}

/// Returns where the next record is, and whether there is one. With the reader's lock.
inline bool find_next(LineEnd& reader, const LineEnd& writer, Position& at) noexcept {
    heap().allocator().cover();  // as in settle
    for (;;) {
        at = reader.at();
        const Record record(at.place());
        const RecordHead head = record.head();
        if (head.kind() != RecordKind::link) [[likely]]
            return head.is_committed();
        // A writer that was killed here is followed by one that reads the link again.
        if (writer.at().place() == at.place()) return false;
        const RecordChunk done(reader.chunk.load(std::memory_order_relaxed));
        const RecordChunk next(record.target());
        reader.count.store(reader.number(at), std::memory_order_relaxed);
        reader.move_to(Position(next.first(), at.number()));
        reader.chunk.store(next.offset(), std::memory_order_relaxed);
        done.free();
    }
}

}  // namespace multiprocessing::detail
