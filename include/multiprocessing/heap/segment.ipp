// multiprocessing/heap/segment.ipp
//
// How the segment is made, mapped and trimmed: see segment.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/segment.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/huge_pages.hpp"
#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/mapped_region.hpp"
#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// Makes a write beyond RLIMIT_FSIZE an error, where it would end the process: the error that says
/// so could not even be printed to a file. Python does the same at its start. A program's own
/// choice stays.
MULTIPROCESSING_INLINE void ignore_file_size_signal() noexcept {
    struct sigaction action {};
    if (::sigaction(SIGXFSZ, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) return;
    action.sa_handler = SIG_IGN;
    (void)::sigaction(SIGXFSZ, &action, nullptr);
}

#ifdef MADV_POPULATE_WRITE
inline constexpr int populate_write = MADV_POPULATE_WRITE;
#else
inline constexpr int populate_write = 23;  // of the kernel's interface, which glibc may lack
#endif

/// Returns whether MADV_REMOVE does what it says: qemu's user emulation claims success, and does
/// nothing.
MULTIPROCESSING_INLINE bool really_releases_pages() noexcept {
    static constinit CachedFact fact;
    return fact.get([] {
        const std::size_t page = mapped_region::get_page_size();
        rlimit limit{};
        if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur < page) return true;
        const Descriptor file =
            try_to_open([] { return ::memfd_create("multiprocessing", MFD_CLOEXEC); });
        if (!file || ::ftruncate(file.get(), static_cast<off_t>(page)) != 0) return true;
        void* const place =
            ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
        if (place == MAP_FAILED) return true;
        auto& byte = *static_cast<volatile char*>(place);
        byte = 1;
        const bool is_gone = ::madvise(place, page, MADV_REMOVE) != 0 || byte == 0;
        ::munmap(place, page);
        return is_gone;
    });
}

/// Maps as much of the beginning of a file of `size` bytes as there is room for: all of it, else a
/// half, and so on.
MULTIPROCESSING_INLINE mapped_region map_what_fits(int fd, std::size_t size) {
    constexpr std::size_t granule = std::size_t{1} << 20;
    for (std::size_t part = size;; part = part / 2 / granule * granule) {
        try {
            return map_sparse_file(fd, part);
        } catch (const std::system_error& error) {
            if (error.code() != std::errc::not_enough_memory || part <= Segment::smallest) throw;
        }
    }
}

MULTIPROCESSING_INLINE Segment::Segment() = default;

MULTIPROCESSING_INLINE Segment Segment::create(std::size_t size) {
    rlimit limit{};
    checked(::getrlimit(RLIMIT_FSIZE, &limit), "getrlimit");
    // Beyond it ftruncate would not only fail: it would raise SIGXFSZ.
    if (size > limit.rlim_cur) {
        ignore_file_size_signal();
        throw_system_error("ftruncate", EFBIG);
    }
    Descriptor file = out_of_the_way(open_descriptor(
        "memfd_create", [] { return ::memfd_create("multiprocessing", MFD_CLOEXEC); }));
    checked(retry_on_eintr([&] { return ::ftruncate(file.get(), static_cast<off_t>(size)); }),
            "ftruncate");
    return map(std::move(file));
}

[[gnu::noinline]] MULTIPROCESSING_INLINE Segment Segment::map(Descriptor file) {
    struct stat status {};
    checked(::fstat(file.get(), &status), "fstat");
    Segment segment;
    segment.size_ = static_cast<std::size_t>(status.st_size);
    segment.region_ = std::make_unique<mapped_region>(map_what_fits(file.get(), segment.size_));
    segment.base_ = static_cast<std::byte*>(segment.region_->get_address());
    segment.mapped_.store(segment.region_->get_size());
    segment.is_partial_.store(segment.mapped() < segment.size());
    // A core dump would otherwise walk the whole reservation. Advice: a failure costs nothing.
    (void)::madvise(segment.base(), segment.mapped(), MADV_DONTDUMP);
    segment.device_ = status.st_dev;
    segment.inode_ = status.st_ino;
    segment.file_ = std::move(file);
    return segment;
}

MULTIPROCESSING_INLINE Segment::Segment(Segment&& other) noexcept
    : base_(other.base_),
      is_partial_(other.is_partial_.load()),
      region_(std::move(other.region_)),
      size_(other.size_),
      mapped_(other.mapped_.load()),
      file_(std::move(other.file_)),
      device_(other.device_),
      inode_(other.inode_) {}

MULTIPROCESSING_INLINE Segment& Segment::operator=(Segment&& other) noexcept {
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

MULTIPROCESSING_INLINE Segment::~Segment() = default;

MULTIPROCESSING_INLINE bool Segment::extend(std::size_t end) const noexcept {
    constexpr std::size_t step = std::size_t{1} << 26;
    constexpr int most_tries = 1000;
    const std::size_t page = mapped_region::get_page_size();
    end = (std::min)(size_, (end + page - 1) / page * page);
    for (int tries = 0; tries < most_tries; ++tries) {
        std::size_t now = mapped_.load();
        if (now >= end) return true;
        for (const std::size_t wanted : {(std::min)(size_, end + step), end}) {
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

MULTIPROCESSING_INLINE void Segment::shrink(std::size_t end) noexcept {
    const std::size_t page = mapped_region::get_page_size();
    end = (end + page - 1) / page * page;
    const std::size_t now = mapped_.load();
    if (end >= now) return;
    is_partial_.store(true);
    mapped_.store(end);
    if (!region_->shrink_by(now - end)) mapped_.store(now);
}

MULTIPROCESSING_INLINE void Segment::reserve_pages(Offset offset, std::size_t length) const {
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

#ifdef MADV_COLLAPSE
inline constexpr int collapse = MADV_COLLAPSE;
#else
inline constexpr int collapse = 25;        // of the kernel's interface, which glibc may lack
#endif

MULTIPROCESSING_INLINE void Segment::take_huge_pages(Offset offset, std::size_t length) const {
    const std::span<std::byte> pages = huge_pages_within({base() + offset, length});
    if (pages.empty()) return;
    // The kernel makes a huge page where there is a page, not of a mere hole.
    for (std::size_t at = 0; at < pages.size(); at += huge_page_size) {
        reserve_pages(static_cast<Offset>(&pages[at] - base()), 1);
    }
    // EINVAL: the kernel does not know it, or not for such memory. Another error means that some
    // huge pages could not be had, and the other ones are there.
    if (::madvise(pages.data(), pages.size(), collapse) == 0 || errno != EINVAL) return;
    advise_huge_pages(pages);
}

MULTIPROCESSING_INLINE bool Segment::release_pages(Offset offset,
                                                   std::size_t length) const noexcept {
    const std::size_t page = mapped_region::get_page_size();
    const Offset first = (offset + page - 1) / page * page;
    const Offset last = (offset + length) / page * page;
    const auto release = [&] {
        return ::madvise(base() + first, static_cast<std::size_t>(last - first), MADV_REMOVE);
    };
    if (first < last && !really_releases_pages()) {
        std::memset(base() + offset, 0, length);
        return true;
    }
    if (first < last && retry_on_eintr(release) != 0) return false;
    // Where the system's pages are larger than the allocator's, parts of some stay.
    const Offset end = offset + length;
    std::memset(base() + offset, 0, static_cast<std::size_t>((std::min)(first, end) - offset));
    if (last >= first) std::memset(base() + last, 0, static_cast<std::size_t>(end - last));
    return true;
}

MULTIPROCESSING_INLINE std::size_t Segment::memory() const {
    struct stat status {};
    checked(::fstat(fd(), &status), "fstat");
    if (status.st_dev != device_ || status.st_ino != inode_) throw_system_error("fstat", EBADF);
    return static_cast<std::size_t>(status.st_blocks) * 512;
}

MULTIPROCESSING_INLINE std::uint64_t available_memory() {
    constexpr auto unlimited = static_cast<double>(std::uint64_t{1} << 62);
    char text[4096];
    text[read_small_file("/proc/meminfo", text, sizeof text - 1)] = '\0';
    const auto kilobytes = [&](const char* name) {
        const char* line = std::strstr(text, name);
        return line ? std::strtod(line + std::strlen(name), nullptr) : -1.0;
    };
    const double available = kilobytes("MemAvailable:");
    double bytes =
        available < 0 ? unlimited : 1024 * (available + (std::max)(0.0, kilobytes("SwapFree:")));
    const std::string v2 = joined({"/sys/fs/cgroup", cgroup_path("")});
    const std::string v1 = joined({"/sys/fs/cgroup/memory", cgroup_path("memory")});
    bytes = (std::min)(bytes, cgroup_number(joined({v2, "/memory.max"}), unlimited) -
                                  cgroup_number(joined({v2, "/memory.current"}), 0));
    bytes = (std::min)(bytes, cgroup_number(joined({v1, "/memory.limit_in_bytes"}), unlimited) -
                                  cgroup_number(joined({v1, "/memory.usage_in_bytes"}), 0));
    return bytes <= 0 ? 0 : static_cast<std::uint64_t>((std::min)(bytes, unlimited));
}

/// Returns how large a family's segment is, in bytes: MULTIPROCESSING_HEAP_SIZE where the
/// environment has it, else twice the machine's memory, at least 64 GiB. It is address space,
/// of which only the touched pages cost memory.
MULTIPROCESSING_INLINE std::size_t default_segment_size() {
    constexpr std::size_t largest = std::size_t{1} << 41;
    if (const char* text = std::getenv("MULTIPROCESSING_HEAP_SIZE")) {
        return std::clamp<std::size_t>(std::strtoull(text, nullptr, 10), Segment::smallest,
                                       largest);
    }
    // Valgrind keeps a record of each mapped page, which takes it some seconds for each GiB. It is
    // recognised by what it has preloaded.
    const char* const preloaded = std::getenv("LD_PRELOAD");
    if (preloaded != nullptr && std::strstr(preloaded, "vgpreload") != nullptr) {
        return std::size_t{1} << 28;
    }
    struct sysinfo info {};
    checked(::sysinfo(&info), "sysinfo");
    const std::size_t memory = static_cast<std::size_t>(info.totalram) * info.mem_unit;
    return std::clamp(std::bit_ceil(2 * memory), std::size_t{1} << 36, largest);
}

MULTIPROCESSING_INLINE std::size_t address_space_share(std::size_t mapped) {
    rlimit limit{};
    checked(::getrlimit(RLIMIT_AS, &limit), "getrlimit");
    if (limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
    char text[64] = {};
    (void)read_small_file("/proc/self/statm", text, sizeof text - 1);
    const std::size_t all = std::strtoull(text, nullptr, 10) * mapped_region::get_page_size();
    const std::size_t others = all - (std::min)(all, mapped);
    const auto whole = static_cast<std::size_t>(limit.rlim_cur);
    return (whole - (std::min)(others, whole)) / 5;
}

MULTIPROCESSING_INLINE Segment create_family_segment() {
    constexpr std::size_t granule = std::size_t{1} << 20;
    rlimit limit{};
    checked(::getrlimit(RLIMIT_FSIZE, &limit), "getrlimit");
    std::size_t size = (std::min)(default_segment_size(), address_space_share());
    size = (std::min)(size, static_cast<std::size_t>(limit.rlim_cur));
    for (;; size /= 2) {
        size = (std::max)(size / granule * granule, Segment::smallest);
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
