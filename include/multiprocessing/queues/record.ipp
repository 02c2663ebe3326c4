// multiprocessing/queues/record.ipp
//
// The slow parts of a queue's records: see record.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/queues/record.hpp"

#include <cstddef>
#include <cstdint>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap.hpp"

namespace multiprocessing::detail {

__attribute__((noinline, no_sanitize("thread"))) MULTIPROCESSING_INLINE RecordHead
Record::guess(Offset offset) noexcept {
    return {*reinterpret_cast<const volatile std::uint64_t*>(heap().at(offset))};
}

MULTIPROCESSING_INLINE RecordChunk RecordChunk::make(std::size_t size) {
    const RecordChunk chunk(heap().offset_of(allocate(size)));
    *heap().at<std::uint32_t>(chunk.offset_) = static_cast<std::uint32_t>(size);
    Record(chunk.first()).clear();
    return chunk;
}

}  // namespace multiprocessing::detail
