// multiprocessing/detail/mapped_region.hpp
//
// Shared mappings of files, each a boost::interprocess::mapped_region: of any descriptor, of a file
// that is mostly holes, and of memory that is mapped already. Floor 0. Start at map_file.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <boost/interprocess/anonymous_shared_memory.hpp>
#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <cerrno>
#include <cstddef>
#include <span>
#include <system_error>

#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

using boost::interprocess::mapped_region;

/// Returns the errno behind an error of Boost.Interprocess, whose own text does not name the call.
inline int errno_of(const boost::interprocess::interprocess_exception& error) noexcept {
    // 0 stands for the library's own errors: a mode or a size that it cannot work with.
    return error.get_native_error() != 0 ? error.get_native_error() : EINVAL;
}

/// A descriptor as mapped_region takes it. It belongs to somebody else.
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

/// Maps the first `size` bytes of a file for reading and writing. The descriptor may be closed
/// afterwards.
/// @param flags for mmap, beside MAP_SHARED
/// @throws std::system_error ENOMEM, EACCES, ENODEV; EAGAIN where the process locks its memory
///         (MCL_FUTURE) and RLIMIT_MEMLOCK is below `size`
[[gnu::cold]] inline mapped_region map_file(int fd, std::size_t size, int flags = 0) {
    // Boost takes a size of 0 for all of the file.
    if (size == 0) throw_system_error("mmap", EINVAL);
    try {
        return {MappableDescriptor(fd), boost::interprocess::read_write, 0, size, nullptr, flags};
    } catch (const boost::interprocess::interprocess_exception& error) {
        throw_system_error("mmap", errno_of(error));
    }
}

/// Gives a region what `call` has mapped: it unmaps it one day.
/// @throws std::system_error with errno when that was nothing
[[gnu::cold]] inline mapped_region own_mapping(void* base, std::size_t size, const char* call) {
    if (base == MAP_FAILED) throw_system_error(call);
    // By this Boost's anonymous_shared_memory gives a region what it has mapped by itself; there is
    // no public way. (1.81 to 1.91 have it.) mremap with MREMAP_FIXED onto the pages of a region is
    // none: it unmaps them first, and where it then fails the region has pages that are not its.
    return boost::interprocess::ipcdetail::raw_mapped_region_creator::create_posix_mapped_region(
        base, size);
}

/// Maps memory a second time: as much of it as `size` says, from the beginning of `region`, which
/// may be shorter. It needs neither a descriptor nor a name any more.
/// @throws std::system_error ENOMEM
inline mapped_region map_again(const mapped_region& region, std::size_t size) {
    // An old size of 0 leaves the old mapping of shared memory in place, see mremap(2).
    return own_mapping(::mremap(region.get_address(), 0, size, MREMAP_MAYMOVE), size, "mremap");
}

/// Maps a file that is mostly holes so that only the pages which are touched take memory, also in
/// a process that has called mlockall(MCL_FUTURE): there mmap would fill all holes, and lock them.
/// The mapping is not locked, and counts for no RLIMIT_MEMLOCK.
/// @throws std::system_error as map_file
[[gnu::cold, gnu::noinline]] inline mapped_region map_sparse_file(int fd, std::size_t size) {
    // Not by map_file: every program compiles this function, and Boost's constructor with its
    // errors makes a program with a queue 1 % slower to compile.
    // MAP_NORESERVE: address space is not memory; a strict overcommit policy would charge it.
    const auto map = [fd](std::size_t length) {
        return ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    };
    // There is no flag of mmap for this, and MCL_FUTURE is the whole process's. But mremap gives
    // the new mapping the flags of the old one: so one page is mapped, unlocked, and mapped again
    // with the size of the whole.
    void* const page = map(std::min<std::size_t>(size, 1));
    if (page == MAP_FAILED) throw_system_error("mmap");
    (void)::munlock(page, 1);  // cannot fail for a page that is mapped
    void* base = ::mremap(page, 0, size, MREMAP_MAYMOVE);
    ::munmap(page, 1);
    // Valgrind and some emulators do not know an mremap of size 0. Real errors come again here.
    if (base == MAP_FAILED) base = map(size);
    return own_mapping(base, size, "mmap");
}

/// Returns the memory of a region; empty where there is none.
inline std::span<std::byte> bytes_of(const mapped_region& region) noexcept {
    return {static_cast<std::byte*>(region.get_address()), region.get_size()};
}

}  // namespace multiprocessing::detail
