// multiprocessing/detail/descriptor.ipp
//
// The numbers of descriptors, and what opens them: see descriptor.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/descriptor.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// Which numbers the library prefers in this process.
struct PreferredNumbers {
    std::atomic<int> first{0};     // 0: not known yet
    std::atomic<int> highest{0};   // the highest number that was ever given
    std::atomic<int> lasting{-1};  // a descriptor that only the program can close, see below
};
inline constinit PreferredNumbers preferred_numbers;

/// Returns the first of the numbers that the library prefers. At first they are the upper half of
/// what the limit on open files allows, but below 1,024, up to which select(2) can wait for them.
MULTIPROCESSING_INLINE int preferred_number() noexcept {
    int first = preferred_numbers.first.load(std::memory_order_relaxed);
    if (first != 0) return first;
    rlimit limit{};
    constexpr rlim_t largest_of_select = 1024;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = largest_of_select;
    first = (std::max)(first_free_descriptor,
                       static_cast<int>((std::min)(limit.rlim_cur, largest_of_select) / 2));
    preferred_numbers.first.store(first, std::memory_order_relaxed);
    return first;
}

/// Prefers numbers above all that were ever given. This is for a program that has closed the
/// library's descriptors: objects still have their numbers, and none of these must become another
/// file's.
MULTIPROCESSING_INLINE void renew_preferred_numbers() noexcept {
    const int first = preferred_numbers.highest.load(std::memory_order_relaxed) + 1;
    preferred_numbers.first.store(first, std::memory_order_relaxed);
    const Descriptor example(::eventfd(0, EFD_CLOEXEC));
    preferred_numbers.lasting.store(::fcntl(example.get(), F_DUPFD_CLOEXEC, first),
                                    std::memory_order_relaxed);
}

/// Returns a copy of a descriptor among the preferred numbers, or -1 if there is no room.
MULTIPROCESSING_INLINE int copy_among_preferred(int fd) noexcept {
    int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, preferred_number());
    if (copy >= 0 && copy == preferred_numbers.lasting.load(std::memory_order_relaxed)) {
        ::close(copy);
        renew_preferred_numbers();
        copy = ::fcntl(fd, F_DUPFD_CLOEXEC, preferred_number());
    }
    int highest = preferred_numbers.highest.load(std::memory_order_relaxed);
    while (highest < copy && !preferred_numbers.highest.compare_exchange_weak(
                                 highest, copy, std::memory_order_relaxed)) {
    }
    return copy;
}

MULTIPROCESSING_INLINE void note_lasting_descriptor(int fd) noexcept {
    preferred_numbers.lasting.store(fd, std::memory_order_relaxed);
}

MULTIPROCESSING_INLINE bool are_above_standard_streams(const int* numbers,
                                                       std::size_t count) noexcept {
    return *std::min_element(numbers, numbers + count) >= first_free_descriptor;
}

MULTIPROCESSING_INLINE StandardStreamsTaken::StandardStreamsTaken() noexcept {
    for (Descriptor& placeholder : placeholders_) {
        placeholder = Descriptor(::eventfd(0, EFD_CLOEXEC));
        if (placeholder.get() < first_free_descriptor) continue;
        placeholder.reset();
        return;
    }
}

MULTIPROCESSING_INLINE Descriptor out_of_the_way(Descriptor descriptor) noexcept {
    if (!descriptor || descriptor.get() >= preferred_number()) return descriptor;
    int moved = copy_among_preferred(descriptor.get());
    if (moved < 0 && descriptor.get() < first_free_descriptor) {
        moved = ::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, first_free_descriptor);
    }
    return moved < 0 ? std::move(descriptor) : Descriptor(moved);
}

MULTIPROCESSING_INLINE PipeEnds make_pipe() {
    int ends[2];
    checked(open_above_standard_streams(
                ends, [](int(&numbers)[2]) { return ::pipe2(numbers, O_CLOEXEC); }),
            "pipe2");
    Descriptor read(ends[0]);  // both come first, so that neither leaks
    Descriptor write(ends[1]);
    return {out_of_the_way(std::move(read)), out_of_the_way(std::move(write))};
}

MULTIPROCESSING_INLINE SocketPair make_socket_pair(int type) {
    int ends[2];
    checked(open_above_standard_streams(ends,
                                        [type](int(&numbers)[2]) {
                                            return ::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0,
                                                                numbers);
                                        }),
            "socketpair");
    Descriptor first(ends[0]);
    Descriptor second(ends[1]);
    return {out_of_the_way(std::move(first)), out_of_the_way(std::move(second))};
}

MULTIPROCESSING_INLINE bool is_socket(int fd) noexcept {
    struct stat status {};
    return ::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

MULTIPROCESSING_INLINE Descriptor checked_descriptor(int fd) {
    if (::fcntl(fd, F_GETFD) < 0) throw_system_error("fcntl");
    return Descriptor(fd);
}

MULTIPROCESSING_INLINE Descriptor duplicate_descriptor(int fd) {
    const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, first_free_descriptor);
    // EINVAL: no file may have such a number.
    if (copy < 0) throw_system_error("fcntl", errno == EINVAL ? EMFILE : errno);
    return Descriptor(copy);
}

MULTIPROCESSING_INLINE std::size_t read_small_file(const char* path, char* buffer,
                                                   std::size_t size) noexcept {
    const Descriptor file = try_to_open(
        [path] { return retry_on_eintr([path] { return ::open(path, O_RDONLY | O_CLOEXEC); }); });
    if (!file) return 0;
    std::size_t filled = 0;
    while (filled < size) {
        const ssize_t got =
            retry_on_eintr([&] { return ::read(file.get(), buffer + filled, size - filled); });
        if (got <= 0) break;  // 0: the end; -1: e.g. the process behind a /proc file has ended
        filled += static_cast<std::size_t>(got);
    }
    return filled;
}

}  // namespace multiprocessing::detail
