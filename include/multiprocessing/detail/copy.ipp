// multiprocessing/detail/copy.ipp
//
// Copies in pieces: see copy.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/copy.hpp"

#include <cstddef>
#include <cstring>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void copy_many_bytes(void* to, const void* from, std::size_t size) noexcept {
    constexpr std::size_t too_large_for_caches = std::size_t{1} << 20;
    if (size >= too_large_for_caches) {
        std::memcpy(to, from, size);
        return;
    }
    auto* target = static_cast<std::byte*>(to);
    const auto* source = static_cast<const std::byte*>(from);
    for (; size > copied_piece;
         size -= copied_piece, target += copied_piece, source += copied_piece) {
        std::memcpy(target, source, copied_piece);
        // Without this the compiler would make one large copy of the loop again.
        asm volatile("" ::: "memory");
    }
    if (size != 0) std::memcpy(target, source, size);
}

}  // namespace multiprocessing::detail
