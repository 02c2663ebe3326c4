// multiprocessing/detail/mapped_region.hpp
//
// Shared mappings, each a boost::interprocess::mapped_region: of any descriptor, of a file that is
// mostly holes, and of memory that is mapped already. Floor 0. Start at map_file.
// SPDX-License-Identifier: MIT
#pragma once

#include <boost/interprocess/mapped_region.hpp>
#include <cstddef>
#include <span>

#include "multiprocessing/detail/requirements.hpp"

namespace boost::interprocess {
class interprocess_exception;
}

namespace multiprocessing::detail {

using boost::interprocess::mapped_region;

/// Returns the errno behind an error of Boost.Interprocess. The text of that error does not name
/// the call.
int errno_of(const boost::interprocess::interprocess_exception& error) noexcept;

/// Maps the first `size` bytes of a file for reading and writing. The descriptor may be closed
/// afterwards.
/// @param flags flags for mmap, besides MAP_SHARED
/// @throws std::system_error ENOMEM, EACCES, ENODEV; EAGAIN if the process locks its memory
///         (MCL_FUTURE) and RLIMIT_MEMLOCK is below `size`
[[gnu::cold]] mapped_region map_file(int fd, std::size_t size, int flags = 0);

/// Maps memory a second time: `size` bytes from the beginning of `region`, which may be shorter. It
/// needs neither a descriptor nor a name.
/// @throws std::system_error ENOMEM
mapped_region map_again(const mapped_region& region, std::size_t size);

/// Maps a file that is mostly holes. Only the pages that are touched take memory, even in a process
/// that has called mlockall(MCL_FUTURE): there a plain mmap would fill all holes and lock them. The
/// mapping is not locked, and does not count for RLIMIT_MEMLOCK. Where there is room, it begins
/// where a huge page may begin.
/// @throws std::system_error what map_file throws
[[gnu::cold]] mapped_region map_sparse_file(int fd, std::size_t size);

/// Returns the memory of a region. It is empty if the region has none.
inline std::span<std::byte> bytes_of(const mapped_region& region) noexcept {
    return {static_cast<std::byte*>(region.get_address()), region.get_size()};
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/mapped_region.ipp"
#endif
