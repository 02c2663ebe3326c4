// multiprocessing/shared_objects/heap_pointer.ipp
//
// Where this process has mapped the heap: see heap_pointer.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/shared_objects/heap_pointer.hpp"

#include <atomic>
#include <cstdint>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap/shared_heap.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE std::uintptr_t look_up_heap_base() {
    const auto base = reinterpret_cast<std::uintptr_t>(heap().segment().base());
    known_heap_base.store(base, std::memory_order_relaxed);
    return base;
}

}  // namespace multiprocessing::detail
