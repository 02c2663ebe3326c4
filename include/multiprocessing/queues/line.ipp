// multiprocessing/queues/line.ipp
//
// The steps of a queue's ends from chunk to chunk: see line.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/queues/line.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/queues/batch.hpp"
#include "multiprocessing/queues/record.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void LineEnd::move_to(RecordChunk next, Position from) noexcept {
    chunk.store(next.offset(), std::memory_order_relaxed);
    count.store(number(from), std::memory_order_relaxed);
    move_to(Position(next.first(), from.number()));
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void count_record(LineEnd& writer, Position at) noexcept {
    const Record record(at.place());
    const RecordHead head = record.head();
    if (head.kind() == RecordKind::link) {
        writer.move_to(RecordChunk(record.target()), at);
    } else {
        writer.move_to(at.next(record.behind(head.size())));
    }
}

[[gnu::noinline]] MULTIPROCESSING_INLINE Position begin_chunk(LineEnd& writer, Position at,
                                                              std::uint32_t backlog,
                                                              std::size_t size) {
    constexpr std::uint32_t few = 64;
    const std::size_t usual = backlog < few ? medium_chunk : large_chunk;
    const RecordChunk next = RecordChunk::make((std::max)(usual, RecordChunk::size_for(size)));
    const Record link(at.place());
    const Offset target = next.offset();
    link.fill(&target, sizeof(target));
    link.commit(RecordHead::make(RecordKind::link, sizeof(target)));
    writer.move_to(next, at);
    return {next.first(), at.number()};
}

[[gnu::noinline]] MULTIPROCESSING_INLINE bool follow_link(LineEnd& reader, const LineEnd& writer,
                                                          Position at) noexcept {
    // A writer that was killed here is followed by one that reads the link again.
    if (writer.at().place() == at.place()) return false;
    const RecordChunk done(reader.chunk.load(std::memory_order_relaxed));
    const RecordChunk next(Record(at.place()).target());
    reader.count.store(reader.number(at), std::memory_order_relaxed);
    reader.move_to(Position(next.first(), at.number()));
    reader.chunk.store(next.offset(), std::memory_order_relaxed);
    done.free();
    return true;
}

MULTIPROCESSING_INLINE void append(LineEnd& writer, const LineEnd& reader, Position at,
                                   OutgoingBatch& batch, std::uint32_t count) {
    const std::size_t size = batch.size_of(count);
    if (!RecordChunk(writer.chunk.load(std::memory_order_relaxed)).has_room(at.place(), size)) {
        at = begin_chunk(writer, at, at.since(reader.at().number()), size);
    }
    const Record first(at.place());
    const Offset behind = at.place() + size;
    Record(behind).clear();
    const RecordHead head = batch.write(first, count);
    first.commit(head);  // from here on all of them are there, even if this process is killed
    writer.move_to(at.next(behind, count));
}

MULTIPROCESSING_INLINE std::size_t take(LineEnd& reader, const LineEnd& writer,
                                        IncomingBatch& batch) {
    std::size_t taken = 0;
    Position at(0);
    while (batch.room() != 0 && find_next(reader, writer, at)) {
        Record record(at.place());
        const std::uint32_t count = batch.take(record);
        reader.move_to(at.next(record.place(), count));  // commits
        taken += count;
    }
    return taken;
}

}  // namespace multiprocessing::detail
