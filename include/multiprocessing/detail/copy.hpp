// multiprocessing/detail/copy.hpp
//
// A memcpy for bytes that may be many. Floor 0. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstring>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// How many bytes are copied at a time.
constexpr std::size_t copied_piece = 2'048;

/// Does the work of copy_bytes when there is more than one piece.
void copy_many_bytes(void* to, const void* from, std::size_t size) noexcept;

/// Copies bytes that do not overlap. Both addresses may be null if `size` is 0.
///
/// It copies in pieces that glibc moves with vector registers. glibc moves larger pieces (of more
/// than 2 to 8 KiB) with `rep movsb`. AMD's Zen 3 and 4 do that at a third of the speed or less if
/// the distance of the two addresses is a little more than a multiple of a page
/// (https://sourceware.org/bugzilla/show_bug.cgi?id=30994): 512 KiB through a queue took 167 µs,
/// and now take 40. From one MiB on, glibc's stores bypass the caches.
inline void copy_bytes(void* to, const void* from, std::size_t size) noexcept {
    if (size > copied_piece) {
        copy_many_bytes(to, from, size);
    } else if (size != 0) {
        std::memcpy(to, from, size);
    }
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/copy.ipp"
#endif
