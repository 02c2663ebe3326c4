// multiprocessing/reduction/archive/payload.ipp
//
// How a payload that is being written gets a larger block of the heap: see payload.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/reduction/archive/payload.hpp"

#include <new>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE std::byte* PayloadBuilder::grow(void* context, std::byte* old,
                                                       std::size_t used, std::size_t& capacity) {
    auto& builder = *static_cast<PayloadBuilder*>(context);
    const std::size_t before = builder.prefix_ + sizeof(PayloadHeader);
    if (capacity > PTRDIFF_MAX - before) throw std::bad_alloc();
    auto* const block = static_cast<std::byte*>(allocate(before + capacity));
    if (used != 0) std::memcpy(block + before, old, used);
    deallocate(std::exchange(builder.block_, block));
    return block + before;
}

}  // namespace multiprocessing::detail
