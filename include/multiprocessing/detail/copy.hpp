// multiprocessing/detail/copy.hpp
//
// memcpy for what may be large. Floor 0. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstring>

namespace multiprocessing::detail {

/// Copies bytes that do not overlap; of none, both places may be null.
///
/// In pieces that glibc moves with vector registers. What is larger (than 2 to 8 KiB) it moves with
/// `rep movsb`, which AMD's Zen 3 and 4 do at a third of the speed or less where the places differ
/// by little more than a multiple of a page
/// (https://sourceware.org/bugzilla/show_bug.cgi?id=30994): 512 KiB through a queue took 167 µs,
/// and take 40. From a MiB on its stores pass the caches by.
inline void copy_bytes(void* to, const void* from, std::size_t size) noexcept {
    constexpr std::size_t piece = 2'048;
    constexpr std::size_t too_large_for_caches = std::size_t{1} << 20;
    if (size >= too_large_for_caches) {
        std::memcpy(to, from, size);
        return;
    }
    auto* target = static_cast<std::byte*>(to);
    const auto* source = static_cast<const std::byte*>(from);
    for (; size > piece; size -= piece, target += piece, source += piece) {
        std::memcpy(target, source, piece);
        // Or the compiler would make one large copy of it again.
        asm volatile("" ::: "memory");
    }
    if (size != 0) std::memcpy(target, source, size);
}

}  // namespace multiprocessing::detail
