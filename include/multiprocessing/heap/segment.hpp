// multiprocessing/heap/segment.hpp
//
// The memory that all processes of a family map: one anonymous file, as large as address space
// allows, of which only the touched pages cost memory. Mirrors CPython Lib/multiprocessing/heap.py,
// Arena; without its names in /dev/shm. Floor 1. SPDX-License-Identifier: MIT
#pragma once

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// A place in the segment: bytes from its beginning, the same in every process. 0 is no place.
using Offset = std::uint64_t;

/// A shared mapping of a memfd. It has no name, so the kernel frees it with its last process.
class Segment {
  public:
    Segment() = default;

    /// Makes a segment of `size` bytes, none of them touched.
    /// @throws std::system_error EMFILE, ENFILE, ENOMEM, EFBIG (RLIMIT_FSIZE)
    static Segment create(std::size_t size) {
        Descriptor file(check(::memfd_create("multiprocessing", MFD_CLOEXEC), "memfd_create"));
        check(::ftruncate(file.get(), static_cast<off_t>(size)), "ftruncate");
        return map(std::move(file));
    }

    /// Maps the segment behind `file`, which another process made.
    static Segment map(Descriptor file) {
        struct stat status {};
        check(::fstat(file.get(), &status), "fstat");
        Segment segment;
        segment.size_ = static_cast<std::size_t>(status.st_size);
        // MAP_NORESERVE: address space is not memory; without it a strict overcommit policy would
        // charge the whole reservation.
        void* base = ::mmap(nullptr, segment.size_, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_NORESERVE, file.get(), 0);
        if (base == MAP_FAILED) throw_system_error("mmap");
        // A core dump would otherwise walk the whole reservation. Advice: a failure costs nothing.
        (void)::madvise(base, segment.size_, MADV_DONTDUMP);
        segment.base_ = static_cast<std::byte*>(base);
        segment.file_ = std::move(file);
        return segment;
    }

    Segment(Segment&& other) noexcept { swap(other); }
    Segment& operator=(Segment&& other) noexcept {
        Segment(std::move(other)).swap(*this);
        return *this;
    }
    ~Segment() {
        if (base_ != nullptr) ::munmap(base_, size_);
    }

    [[nodiscard]] std::byte* base() const noexcept { return base_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] int fd() const noexcept { return file_.get(); }

    /// Takes memory for the pages of a range now, so that touching them cannot fail later.
    /// @throws std::bad_alloc when the machine has none
    void reserve_pages(Offset offset, std::size_t length) const {
        const int failed = retry_on_eintr([&] {
            return ::fallocate(fd(), 0, static_cast<off_t>(offset), static_cast<off_t>(length));
        });
        if (failed) throw std::bad_alloc();
    }

    /// Gives the memory of the pages of a range back; they read as zero afterwards.
    void release_pages(Offset offset, std::size_t length) const noexcept {
        // A failure (ENOMEM while splitting a huge page) leaves the pages as they are: memory that
        // stays with a free block until it is used again.
        (void)retry_on_eintr([&] {
            return ::fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                               static_cast<off_t>(offset), static_cast<off_t>(length));
        });
    }

    /// Returns the memory that the segment's pages take, in bytes.
    [[nodiscard]] std::size_t memory() const {
        struct stat status {};
        check(::fstat(fd(), &status), "fstat");
        return static_cast<std::size_t>(status.st_blocks) * 512;
    }

  private:
    void swap(Segment& other) noexcept {
        std::swap(base_, other.base_);
        std::swap(size_, other.size_);
        std::swap(file_, other.file_);
    }

    std::byte* base_ = nullptr;
    std::size_t size_ = 0;
    Descriptor file_;
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
/// environment has it, else four times the machine's memory, at least 64 GiB. It is address space:
/// freed blocks are reused by size and never joined, so there is to be plenty.
inline std::size_t default_segment_size() {
    constexpr std::size_t smallest = std::size_t{1} << 24;
    constexpr std::size_t largest = std::size_t{1} << 41;
    if (const char* text = std::getenv("MULTIPROCESSING_HEAP_SIZE")) {
        return std::clamp<std::size_t>(std::strtoull(text, nullptr, 10), smallest, largest);
    }
    struct sysinfo info {};
    check(::sysinfo(&info), "sysinfo");
    const std::size_t memory = static_cast<std::size_t>(info.totalram) * info.mem_unit;
    return std::clamp(std::bit_ceil(4 * memory), std::size_t{1} << 36, largest);
}

/// Makes the segment of a new family. Where address space is limited (RLIMIT_AS, RLIMIT_FSIZE), the
/// largest that fits.
inline Segment create_family_segment() {
    std::size_t size = default_segment_size();
    rlimit limit{};
    check(::getrlimit(RLIMIT_FSIZE, &limit), "getrlimit");
    // Not only would ftruncate fail beyond this: it would raise SIGXFSZ.
    if (limit.rlim_cur < size) size = std::bit_floor(static_cast<std::size_t>(limit.rlim_cur));
    for (;; size /= 2) {
        try {
            return Segment::create(size);
        } catch (const std::system_error& error) {
            constexpr std::size_t smallest = std::size_t{1} << 24;
            if (error.code() != std::errc::not_enough_memory || size <= smallest) throw;
        }
    }
}

}  // namespace multiprocessing::detail
