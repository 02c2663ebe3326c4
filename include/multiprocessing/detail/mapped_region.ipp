// multiprocessing/detail/mapped_region.ipp
//
// Making the mappings: see mapped_region.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/mapped_region.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <boost/interprocess/anonymous_shared_memory.hpp>
#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "multiprocessing/detail/huge_pages.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/sanitizers.hpp"
#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE int errno_of(
    const boost::interprocess::interprocess_exception& error) noexcept {
    // 0 stands for Boost's own errors: a mode or a size that it cannot work with.
    return error.get_native_error() != 0 ? error.get_native_error() : EINVAL;
}

/// A descriptor in the form that mapped_region takes. It does not own the descriptor.
class MappableDescriptor {
  public:
    explicit MappableDescriptor(int fd) noexcept : fd_(fd) {}
    [[nodiscard]] boost::interprocess::mapping_handle_t get_mapping_handle() const noexcept {
        boost::interprocess::mapping_handle_t handle{};  // all other fields: not System V memory
        handle.handle = fd_;
        return handle;
    }

  private:
    int fd_;
};

MULTIPROCESSING_INLINE mapped_region map_file(int fd, std::size_t size, int flags) {
    // Boost takes a size of 0 to mean the whole file.
    if (size == 0) throw_system_error("mmap", EINVAL);
    try {
        return {MappableDescriptor(fd), boost::interprocess::read_write, 0, size, nullptr, flags};
    } catch (const boost::interprocess::interprocess_exception& error) {
        throw_system_error("mmap", errno_of(error));
    }
}

/// Returns a region that owns what `call` has mapped, and unmaps it one day.
/// @throws std::system_error with errno if `call` has failed
[[gnu::cold]] MULTIPROCESSING_INLINE mapped_region own_mapping(void* base, std::size_t size,
                                                               const char* call) {
    if (base == MAP_FAILED) throw_system_error(call);
    // Boost's anonymous_shared_memory does this to give a region what it has mapped by itself.
    // There is no public way. (1.81 to 1.91 have this one.) mremap with MREMAP_FIXED onto the pages
    // of a region is no way: it unmaps them first. If it then fails, the region has pages that it
    // does not own.
    return boost::interprocess::ipcdetail::raw_mapped_region_creator::create_posix_mapped_region(
        base, size);
}

MULTIPROCESSING_INLINE mapped_region map_again(const mapped_region& region, std::size_t size) {
    // An old size of 0 leaves the old mapping of shared memory in place, see mremap(2).
    return own_mapping(::mremap(region.get_address(), 0, size, MREMAP_MAYMOVE), size, "mremap");
}

/// Returns where a huge page may begin, with `size` free bytes of address space from there on; null
/// when there is no room. It is free only until another thread takes it.
[[gnu::cold]] MULTIPROCESSING_INLINE void* find_place_for_huge_pages(std::size_t size) noexcept {
    const std::size_t room = size + huge_page_size;
    void* const area =
        ::mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED) return nullptr;
    ::munmap(area, room);
    const auto begin = reinterpret_cast<std::uintptr_t>(area);
    return reinterpret_cast<void*>((begin + huge_page_size - 1) / huge_page_size * huge_page_size);
}

[[gnu::noinline]] MULTIPROCESSING_INLINE mapped_region map_sparse_file(int fd, std::size_t size) {
    // It does not call map_file: in the header-only way every program compiles this function, and
    // Boost's constructor with its errors makes a program with a queue 1 % slower to compile.
    // MAP_NORESERVE: address space is not memory, but a strict overcommit policy would charge it.
    // ThreadSanitizer takes what is mapped there by mmap, and not by mremap, for new memory.
    void* const place = thread_sanitizer ? nullptr : find_place_for_huge_pages(size);
    const auto map = [=](std::size_t length) {
        // The place is a wish.
        return ::mmap(place, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    };
    // mmap has no flag for this, and MCL_FUTURE holds for the whole process. But mremap gives the
    // new mapping the flags of the old one. So one page is mapped, unlocked, and made to grow, or
    // mapped again, with the size of the whole file.
    void* const page = map(std::min<std::size_t>(size, 1));
    if (page == MAP_FAILED) throw_system_error("mmap");
    (void)::munlock(page, 1);  // cannot fail for a page that is mapped
    const std::size_t one = mapped_region::get_page_size();
    if (page == place && ::mremap(page, one, size, 0) == page) {
        return own_mapping(page, size, "mmap");
    }
    void* base = ::mremap(page, 0, size, MREMAP_MAYMOVE);
    ::munmap(page, 1);
    // Valgrind and some emulators do not know an mremap of size 0. Real errors occur again here.
    if (base == MAP_FAILED) base = map(size);
    return own_mapping(base, size, "mmap");
}

}  // namespace multiprocessing::detail
