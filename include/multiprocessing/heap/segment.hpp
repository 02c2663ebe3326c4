// multiprocessing/heap/segment.hpp
//
// The memory that all processes of a family map: one anonymous file, as large as address space
// allows, of which only the touched pages cost memory. Mirrors CPython Lib/multiprocessing/heap.py,
// Arena; without its names in /dev/shm. Floor 1. SPDX-License-Identifier: MIT
#pragma once

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/mapped_region.hpp"
#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// A place in the segment: bytes from its beginning, the same in every process. 0 is no place.
using Offset = std::uint64_t;

/// Lets a write beyond RLIMIT_FSIZE be an error, where it would end the process: the error that
/// says so could not even be printed to a file. As Python does at its start; a program's own choice
/// stays.
inline void ignore_file_size_signal() noexcept {
    struct sigaction action {};
    if (::sigaction(SIGXFSZ, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) return;
    action.sa_handler = SIG_IGN;
    (void)::sigaction(SIGXFSZ, &action, nullptr);
}

/// A shared mapping of a memfd. It has no name, so the kernel frees it with its last process.
class Segment {
  public:
    static constexpr std::size_t smallest = std::size_t{1} << 24;

    Segment() = default;

    /// Makes a segment of `size` bytes, none of them touched.
    /// @throws std::system_error EMFILE, ENFILE, ENOMEM, EAGAIN, EINVAL (no room in the address
    ///         space), EFBIG (RLIMIT_FSIZE)
    static Segment create(std::size_t size) {
        rlimit limit{};
        check(::getrlimit(RLIMIT_FSIZE, &limit), "getrlimit");
        // Beyond it ftruncate would not only fail: it would raise SIGXFSZ.
        if (size > limit.rlim_cur) {
            ignore_file_size_signal();
            throw_system_error("ftruncate", EFBIG);
        }
        Descriptor file(check(::memfd_create("multiprocessing", MFD_CLOEXEC), "memfd_create"));
        check(retry_on_eintr([&] { return ::ftruncate(file.get(), static_cast<off_t>(size)); }),
              "ftruncate");
        return map(std::move(file));
    }

    /// Maps the segment behind `file`, which another process made: as much of it as this process's
    /// address space has room for, see cover().
    [[gnu::cold, gnu::noinline]] static Segment map(Descriptor file) {
        struct stat status {};
        check(::fstat(file.get(), &status), "fstat");
        Segment segment;
        segment.size_ = static_cast<std::size_t>(status.st_size);
        segment.region_ = map_what_fits(file.get(), segment.size_);
        segment.base_ = static_cast<std::byte*>(segment.region_.get_address());
        segment.mapped_.store(segment.region_.get_size());
        segment.is_partial_.store(segment.mapped() < segment.size());
        // A core dump would otherwise walk the whole reservation. Advice: a failure costs nothing.
        (void)::madvise(segment.base(), segment.mapped(), MADV_DONTDUMP);
        segment.device_ = status.st_dev;
        segment.inode_ = status.st_ino;
        segment.file_ = std::move(file);
        return segment;
    }

    Segment(Segment&& other) noexcept
        : base_(other.base_),
          is_partial_(other.is_partial_.load()),
          region_(std::move(other.region_)),
          size_(other.size_),
          mapped_(other.mapped_.load()),
          file_(std::move(other.file_)),
          device_(other.device_),
          inode_(other.inode_) {}
    Segment& operator=(Segment&& other) noexcept {
        base_ = other.base_;
        is_partial_.store(other.is_partial_.load());
        region_ = std::move(other.region_);
        size_ = other.size_;
        mapped_.store(other.mapped_.load());
        file_ = std::move(other.file_);
        device_ = other.device_;
        inode_ = other.inode_;
        return *this;
    }
    ~Segment() = default;

    [[nodiscard]] std::byte* base() const noexcept { return base_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] int fd() const noexcept { return file_.get(); }

    // A process whose address space is limited later than the segment was made has only the
    // beginning of it mapped, and more as it is used.

    /// Returns whether this process has, or may have, only the beginning mapped. One load, with
    /// base(): it is asked each time that somebody follows a place in the heap.
    [[nodiscard]] bool is_partial() const noexcept {
        return is_partial_.load(std::memory_order_relaxed);
    }

    /// Returns how many bytes from the beginning this process has mapped.
    [[nodiscard]] std::size_t mapped() const noexcept {
        return mapped_.load(std::memory_order_relaxed);
    }

    /// Maps the segment as far as `end`, at least. @returns false when there is no room for it
    [[nodiscard]] bool extend(std::size_t end) const noexcept {
        constexpr std::size_t step = std::size_t{1} << 26;
        constexpr int most_tries = 1000;
        const std::size_t page = mapped_region::get_page_size();
        end = std::min(size_, (end + page - 1) / page * page);
        for (int tries = 0; tries < most_tries; ++tries) {
            std::size_t now = mapped_.load();
            if (now >= end) return true;
            for (const std::size_t wanted : {std::min(size_, end + step), end}) {
                // In place, from the last page on; another thread that does the same makes it fail.
                void* const last = base() + now - page;
                if (::mremap(last, page, page + wanted - now, 0) != last) continue;
                mapped_.compare_exchange_strong(now, wanted);
                return true;
            }
            ::sched_yield();
        }
        return false;
    }

    /// Unmaps what lies behind `end`. @pre nothing there is in use
    void shrink(std::size_t end) noexcept {
        const std::size_t page = mapped_region::get_page_size();
        end = (end + page - 1) / page * page;
        const std::size_t now = mapped_.load();
        if (end >= now) return;
        is_partial_.store(true);
        mapped_.store(end);
        if (!region_.shrink_by(now - end)) mapped_.store(now);
    }

    // Pages are taken and given back through the mapping. The descriptor is only a number, which
    // may be another file's by now: a daemon closes all descriptors and opens its own.

    /// Takes memory for the pages of a range now, so that touching them cannot fail later.
    /// @throws std::bad_alloc when the machine has none
    void reserve_pages(Offset offset, std::size_t length) const {
        const std::size_t page = mapped_region::get_page_size();
        const Offset first = offset / page * page;
        const std::size_t whole = (offset + length + page - 1) / page * page - first;
        const int result =
            retry_on_eintr([&] { return ::madvise(base() + first, whole, populate_write); });
        if (result == 0) return;
        if (errno != EINVAL) throw std::bad_alloc();
        // Before Linux 5.14, and where memory is emulated: a store to each page, of what is there.
        for (std::size_t at = 0; at < whole; at += page) {
            std::atomic_ref(*reinterpret_cast<std::uint32_t*>(base() + first + at)).fetch_or(0);
        }
    }

    /// Gives the memory of the pages of a range back.
    /// @returns whether all of the range reads as zero now. The kernel may refuse (ENOMEM while it
    /// splits a huge page, EINVAL for locked memory): then the content stays
    bool release_pages(Offset offset, std::size_t length) const noexcept {
        const std::size_t page = mapped_region::get_page_size();
        const Offset first = (offset + page - 1) / page * page;
        const Offset last = (offset + length) / page * page;
        const auto release = [&] {
            return ::madvise(base() + first, static_cast<std::size_t>(last - first), MADV_REMOVE);
        };
        if (first < last && retry_on_eintr(release) != 0) return false;
        // Where the system's pages are larger than the allocator's, parts of some stay.
        const Offset end = offset + length;
        std::memset(base() + offset, 0, static_cast<std::size_t>(std::min(first, end) - offset));
        if (last >= first) std::memset(base() + last, 0, static_cast<std::size_t>(end - last));
        return true;
    }

    /// Returns the memory that the segment's pages take, in bytes.
    /// @throws std::system_error EBADF when the descriptor was closed, or is another file's now
    [[nodiscard]] std::size_t memory() const {
        struct stat status {};
        check(::fstat(fd(), &status), "fstat");
        if (status.st_dev != device_ || status.st_ino != inode_) throw_system_error("fstat", EBADF);
        return static_cast<std::size_t>(status.st_blocks) * 512;
    }

  private:
#ifdef MADV_POPULATE_WRITE
    static constexpr int populate_write = MADV_POPULATE_WRITE;
#else
    static constexpr int populate_write = 23;  // of the kernel's interface, which glibc may lack
#endif

    static mapped_region map_what_fits(int fd, std::size_t size) {
        constexpr std::size_t granule = std::size_t{1} << 20;
        for (std::size_t part = size;; part = part / 2 / granule * granule) {
            try {
                return map_sparse_file(fd, part);
            } catch (const std::system_error& error) {
                if (error.code() != std::errc::not_enough_memory || part <= smallest) throw;
            }
        }
    }

    std::byte* base_ = nullptr;
    std::atomic<bool> is_partial_{false};
    mapped_region region_;
    std::size_t size_ = 0;
    mutable std::atomic<std::size_t> mapped_{0};
    Descriptor file_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

/// Returns the memory that an allocation could still get, in bytes: what the kernel would free up
/// for it, swap, and what the control group leaves.
inline std::uint64_t available_memory() {
    constexpr auto unlimited = static_cast<double>(std::uint64_t{1} << 62);
    char text[4096];
    text[read_small_file("/proc/meminfo", text, sizeof text - 1)] = '\0';
    const auto kilobytes = [&](const char* name) {
        const char* line = std::strstr(text, name);
        return line ? std::strtod(line + std::strlen(name), nullptr) : -1.0;
    };
    const double available = kilobytes("MemAvailable:");
    double bytes =
        available < 0 ? unlimited : 1024 * (available + std::max(0.0, kilobytes("SwapFree:")));
    const std::string v2 = "/sys/fs/cgroup" + cgroup_path("");
    const std::string v1 = "/sys/fs/cgroup/memory" + cgroup_path("memory");
    bytes = std::min(bytes, cgroup_number(v2 + "/memory.max", unlimited) -
                                cgroup_number(v2 + "/memory.current", 0));
    bytes = std::min(bytes, cgroup_number(v1 + "/memory.limit_in_bytes", unlimited) -
                                cgroup_number(v1 + "/memory.usage_in_bytes", 0));
    return bytes <= 0 ? 0 : static_cast<std::uint64_t>(std::min(bytes, unlimited));
}

/// Returns how large a family's segment is, in bytes: MULTIPROCESSING_HEAP_SIZE where the
/// environment has it, else twice the machine's memory, at least 64 GiB. It is address space,
/// of which only the touched pages cost memory.
inline std::size_t default_segment_size() {
    constexpr std::size_t largest = std::size_t{1} << 41;
    if (const char* text = std::getenv("MULTIPROCESSING_HEAP_SIZE")) {
        return std::clamp<std::size_t>(std::strtoull(text, nullptr, 10), Segment::smallest,
                                       largest);
    }
    // Valgrind keeps a record of each page that is mapped, some seconds for each GiB, and has
    // itself preloaded.
    const char* const preloaded = std::getenv("LD_PRELOAD");
    if (preloaded != nullptr && std::strstr(preloaded, "vgpreload") != nullptr) {
        return std::size_t{1} << 28;
    }
    struct sysinfo info {};
    check(::sysinfo(&info), "sysinfo");
    const std::size_t memory = static_cast<std::size_t>(info.totalram) * info.mem_unit;
    return std::clamp(std::bit_ceil(2 * memory), std::size_t{1} << 36, largest);
}

/// Returns how much of a limited address space (RLIMIT_AS) the segment may take: a fifth of what
/// this process has left, so that with all that comes with it three quarters remain for the
/// program.
/// @param mapped how much of what the process has is the segment itself
inline std::size_t address_space_share(std::size_t mapped = 0) {
    rlimit limit{};
    check(::getrlimit(RLIMIT_AS, &limit), "getrlimit");
    if (limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
    char text[64] = {};
    (void)read_small_file("/proc/self/statm", text, sizeof text - 1);
    const std::size_t all = std::strtoull(text, nullptr, 10) * mapped_region::get_page_size();
    const std::size_t others = all - std::min(all, mapped);
    const auto whole = static_cast<std::size_t>(limit.rlim_cur);
    return (whole - std::min(others, whole)) / 5;
}

/// Makes the segment of a new family: where address space or files are limited, the largest that
/// is fair.
/// @throws std::system_error EFBIG, ENOMEM when even the smallest does not fit
inline Segment create_family_segment() {
    constexpr std::size_t granule = std::size_t{1} << 20;
    rlimit limit{};
    check(::getrlimit(RLIMIT_FSIZE, &limit), "getrlimit");
    std::size_t size = std::min(default_segment_size(), address_space_share());
    size = std::min(size, static_cast<std::size_t>(limit.rlim_cur));
    for (;; size /= 2) {
        size = std::max(size / granule * granule, Segment::smallest);
        try {
            return Segment::create(size);
        } catch (const std::system_error& error) {
            // Besides ENOMEM: EAGAIN where the memory would have to be locked, EINVAL from valgrind
            // for what is more than it can place.
            const bool may_fit = error.code() == std::errc::not_enough_memory ||
                                 error.code() == std::errc::resource_unavailable_try_again ||
                                 error.code() == std::errc::invalid_argument;
            if (!may_fit || size == Segment::smallest) throw;
        }
    }
}

}  // namespace multiprocessing::detail
