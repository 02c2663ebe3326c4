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
inline mapped_region map_file(int fd, std::size_t size, int flags = 0) {
    // Boost takes a size of 0 for all of the file.
    if (size == 0) throw_system_error("mmap", EINVAL);
    try {
        return {MappableDescriptor(fd), boost::interprocess::read_write, 0, size, nullptr, flags};
    } catch (const boost::interprocess::interprocess_exception& error) {
        throw_system_error("mmap", errno_of(error));
    }
}

/// Maps memory a second time: as much of it as `size` says, from the beginning of `region`, which
/// may be shorter. It needs neither a descriptor nor a name any more.
/// @throws std::system_error ENOMEM
inline mapped_region map_again(const mapped_region& region, std::size_t size) {
    // An old size of 0 leaves the old mapping of shared memory in place, see mremap(2).
    void* again = ::mremap(region.get_address(), 0, size, MREMAP_MAYMOVE);
    if (again == MAP_FAILED) throw_system_error("mremap");
    // By this anonymous_shared_memory gives a region what it has mapped by itself; there is no
    // public way. (Boost 1.81 to 1.91 have it.) MREMAP_FIXED onto a region's pages is none: it
    // unmaps them first, and where it then fails the region is left with pages that are not its.
    return boost::interprocess::ipcdetail::raw_mapped_region_creator::create_posix_mapped_region(
        again, size);
}

/// Maps a file that is mostly holes so that only the pages which are touched take memory, also in
/// a process that has called mlockall(MCL_FUTURE): there mmap would fill all holes, and lock them.
/// The mapping is not locked, and counts for no RLIMIT_MEMLOCK.
/// @throws std::system_error as map_file, and EINVAL for an empty file
inline mapped_region map_sparse_file(int fd, std::size_t size) {
    // There is no flag of mmap for this, and MCL_FUTURE is the whole process's. But mremap gives
    // the new mapping the flags of the old one: so one page is mapped, unlocked, and mapped again
    // with the size of the whole.
    // MAP_NORESERVE: address space is not memory; a strict overcommit policy would charge it.
    const std::size_t page = std::min(size, mapped_region::get_page_size());
    const mapped_region first = map_file(fd, page, MAP_NORESERVE);
    (void)::munlock(first.get_address(), page);  // cannot fail for a page that is mapped
    try {
        return map_again(first, size);
    } catch (const std::system_error&) {
        // Valgrind and some emulators do not know an mremap of size 0. Real errors come again here.
        return map_file(fd, size, MAP_NORESERVE);
    }
}

/// Returns the memory of a region; empty where there is none.
inline std::span<std::byte> bytes_of(const mapped_region& region) noexcept {
    return {static_cast<std::byte*>(region.get_address()), region.get_size()};
}

}  // namespace multiprocessing::detail
