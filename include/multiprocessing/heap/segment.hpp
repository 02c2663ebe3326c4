// multiprocessing/heap/segment.hpp
//
// The memory that all processes of a family map: one anonymous file, as large as address space
// allows. Only the pages that are touched cost memory. Mirrors CPython Lib/multiprocessing/heap.py,
// Arena, without its names in /dev/shm. Floor 1. SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <atomic>
#include <boost/interprocess/interprocess_fwd.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "multiprocessing/detail/descriptor.hpp"

namespace multiprocessing::detail {

/// A place in the segment: bytes from its beginning, the same in every process. 0 is no place.
using Offset = std::uint64_t;

/// A shared mapping of a memfd. It has no name, so the kernel frees it with its last process.
class Segment {
  public:
    static constexpr std::size_t smallest = std::size_t{1} << 24;

    Segment();

    /// Makes a segment of `size` bytes, none of them touched.
    /// @throws std::system_error EMFILE, ENFILE, ENOMEM, EAGAIN, EINVAL (no room in the address
    ///         space), EFBIG (RLIMIT_FSIZE)
    static Segment create(std::size_t size);

    /// Maps the segment behind `file`, which another process made: as much of it as this process's
    /// address space has room for, see extend().
    [[gnu::cold]] static Segment map(Descriptor file);

    Segment(Segment&& other) noexcept;
    Segment& operator=(Segment&& other) noexcept;
    ~Segment();

    [[nodiscard]] std::byte* base() const noexcept { return base_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] int fd() const noexcept { return file_.get(); }

    // The address space of a process may be limited after the segment was made. Such a process maps
    // only the beginning of the segment, and more of it as it is used.

    /// Returns whether this process has, or may have, only the beginning mapped. It costs one load,
    /// next to base(): it is asked each time that somebody follows a place in the heap.
    [[nodiscard]] bool is_partial() const noexcept {
        return is_partial_.load(std::memory_order_relaxed);
    }

    /// Returns how many bytes from the beginning this process has mapped.
    [[nodiscard]] std::size_t mapped() const noexcept {
        return mapped_.load(std::memory_order_relaxed);
    }

    /// Maps the segment at least as far as `end`. @returns false when there is no room for it
    [[nodiscard]] bool extend(std::size_t end) const noexcept;

    /// Unmaps what lies behind `end`. @pre nothing there is in use
    void shrink(std::size_t end) noexcept;

    // Pages are taken and given back through the mapping. The descriptor is only a number, which
    // may be another file's by now: a daemon closes all descriptors and opens its own.

    /// Takes memory for the pages of a range now, so that touching them cannot fail later.
    /// @throws std::bad_alloc when the machine has none
    void reserve_pages(Offset offset, std::size_t length) const;

    /// Takes memory in huge pages for the part of a range that has room for them, as far as the
    /// kernel has some. What it has not stays as it is. The content does not change.
    ///
    /// Since Linux 6.1 that works at once, and whatever /sys/kernel/mm/transparent_hugepage says
    /// (unless shmem_enabled is "deny"). Before, the range is only marked, for this process and its
    /// forks, and it depends: shmem_enabled must be "advise", "within_size" or "always".
    /// @throws std::bad_alloc when the machine has no memory
    [[gnu::cold]] void take_huge_pages(Offset offset, std::size_t length) const;

    /// Gives the memory of the pages of a range back.
    /// @returns whether all of the range reads as zero now. The kernel may refuse (ENOMEM while it
    /// splits a huge page, EINVAL for locked memory): then the content stays
    bool release_pages(Offset offset, std::size_t length) const noexcept;

    /// Returns the memory that the segment's pages take, in bytes.
    /// @throws std::system_error EBADF when the descriptor was closed, or is another file's now
    [[nodiscard]] std::size_t memory() const;

  private:
    std::byte* base_ = nullptr;
    std::atomic<bool> is_partial_{false};
    // By pointer: what uses the heap need not compile Boost's class.
    std::unique_ptr<boost::interprocess::mapped_region> region_;
    std::size_t size_ = 0;
    mutable std::atomic<std::size_t> mapped_{0};
    Descriptor file_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

/// Returns the memory that an allocation could still get, in bytes: what the kernel would free up
/// for it, swap, and what the control group leaves.
std::uint64_t available_memory();

/// Returns how much of a limited address space (RLIMIT_AS) the segment may take: a fifth of what
/// this process has left. With all that comes with the segment, three quarters then remain for the
/// program.
/// @param mapped how many of the process's bytes are the segment itself
std::size_t address_space_share(std::size_t mapped = 0);

/// Makes the segment of a new family. Where address space or file sizes are limited, it is the
/// largest that is fair.
/// @throws std::system_error EFBIG, ENOMEM when even the smallest does not fit
Segment create_family_segment();

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/heap/segment.ipp"
#endif
