// multiprocessing/queues/line.ipp
//
// The steps of a queue's ends from chunk to chunk: see line.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/queues/line.hpp"

#include <atomic>
#include <cstdint>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap.hpp"
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
                                                              std::uint32_t backlog) {
    constexpr std::uint32_t few = 64;
    const RecordChunk next = RecordChunk::make(backlog < few ? medium_chunk : large_chunk);
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

}  // namespace multiprocessing::detail
