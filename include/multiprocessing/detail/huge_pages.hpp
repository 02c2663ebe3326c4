// multiprocessing/detail/huge_pages.hpp
//
// Memory in pages of 2 MiB instead of 4 KiB. The first store to a page costs a page fault, whatever
// its size: 64 MiB are 32 faults instead of 16,384. Floor 0. Start at huge_pages_within.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// The size of the huge pages that the kernel makes of other pages, where it makes any: on x86-64,
/// and on aarch64 with pages of 4 KiB. With larger ones it is wrong, and there are no huge pages.
inline constexpr std::size_t huge_page_size = std::size_t{1} << 21;

/// The size from which on malloc takes a block from the kernel each time, and gives it back when it
/// is freed: glibc's M_MMAP_THRESHOLD grows to it, and no further.
inline constexpr std::size_t always_fresh = std::size_t{32} << 20;

/// Returns the part of some memory that huge pages can hold.
std::span<std::byte> huge_pages_within(std::span<std::byte> memory) noexcept;

/// Asks the kernel to take huge pages where this memory is written to for the first time. It may
/// have none: /sys/kernel/mm/transparent_hugepage/enabled says "never", or memory is scattered.
void advise_huge_pages(std::span<std::byte> memory) noexcept;

/// Makes room for `count` elements in a vector or string that is overwritten next. A large one gets
/// its memory in huge pages.
template <class Array>
void make_room(Array& array, std::size_t count) {
    using Element = typename Array::value_type;
    if constexpr (requires { array.reserve(array.capacity()); }) {
        if (count > always_fresh / sizeof(Element) && array.capacity() < count) [[unlikely]] {
            array.clear();  // else they would be moved to the new memory
            array.reserve(count);
            const std::span<Element> room(array.data(), count);
            advise_huge_pages(std::as_writable_bytes(room));
        }
    }
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/huge_pages.ipp"
#endif
