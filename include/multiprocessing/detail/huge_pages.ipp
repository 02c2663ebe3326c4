// multiprocessing/detail/huge_pages.ipp
//
// Where huge pages begin, and how the kernel is asked for them: see huge_pages.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/huge_pages.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE std::span<std::byte> huge_pages_within(
    std::span<std::byte> memory) noexcept {
    const auto begin = reinterpret_cast<std::uintptr_t>(memory.data());
    const std::size_t before = (huge_page_size - begin % huge_page_size) % huge_page_size;
    if (memory.size() < before + huge_page_size) return {};
    const std::size_t room = memory.size() - before;
    return memory.subspan(before, room - room % huge_page_size);
}

[[gnu::cold]] MULTIPROCESSING_INLINE void advise_huge_pages(std::span<std::byte> memory) noexcept {
    const std::span<std::byte> pages = huge_pages_within(memory);
    const int error = errno;
    if (!pages.empty()) (void)::madvise(pages.data(), pages.size(), MADV_HUGEPAGE);
    errno = error;
}

}  // namespace multiprocessing::detail
