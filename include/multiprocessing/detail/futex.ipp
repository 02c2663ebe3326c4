// multiprocessing/detail/futex.ipp
//
// The system calls: see futex.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <span>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE bool futex_wait(const FutexWord& word, std::uint32_t expected,
                                       const timespec* timeout) {
    const long result = ::syscall(SYS_futex, &word, FUTEX_WAIT, expected, timeout, nullptr, 0);
    if (result == 0 || errno == EAGAIN || errno == EINTR) return false;
    if (errno == ETIMEDOUT) return true;
    throw_system_error("futex");
}

MULTIPROCESSING_INLINE void futex_wait_until(const FutexWord& word, std::uint32_t expected,
                                             const Deadline& deadline) {
    // A timer costs a microsecond. So there is none where none is needed.
    if (deadline.is_forever()) {
        futex_wait(word, expected, nullptr);
    } else {
        const timespec left = deadline.left_as_timespec(std::chrono::hours(1));
        futex_wait(word, expected, &left);
    }
}

MULTIPROCESSING_INLINE void futex_wait_any(std::span<const FutexExpectation> words,
                                           const Deadline& deadline) {
    struct Waiter {  // struct futex_waitv, which older headers lack
        std::uint64_t value, address;
        std::uint32_t flags, reserved;
    };
    constexpr std::size_t most = 128;
    constexpr long number = 449;  // of the system call, on all architectures
    if (words.size() == 1) return futex_wait_until(*words[0].word, words[0].expected, deadline);
    if (words.size() <= most) {
        Waiter waiters[most];
        for (std::size_t i = 0; i < words.size(); ++i) {
            waiters[i] = {words[i].expected, reinterpret_cast<std::uintptr_t>(words[i].word), 2, 0};
        }
        timespec until{};
        ::clock_gettime(CLOCK_MONOTONIC, &until);
        const timespec left = deadline.left_as_timespec(std::chrono::hours(1));
        until.tv_nsec += left.tv_nsec;
        until.tv_sec += left.tv_sec + until.tv_nsec / 1'000'000'000;
        until.tv_nsec %= 1'000'000'000;
        const long result = ::syscall(number, waiters, words.size(), 0, &until, CLOCK_MONOTONIC);
        if (result >= 0 || errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT) return;
    }
    const timespec moment = deadline.left_as_timespec(std::chrono::milliseconds(10));
    futex_wait(*words[0].word, words[0].expected, &moment);
}

MULTIPROCESSING_INLINE int futex_wake(const FutexWord& word, int count) noexcept {
    // The only possible error is a bad address, and `word` is a reference.
    return static_cast<int>(::syscall(SYS_futex, &word, FUTEX_WAKE, count, nullptr, nullptr, 0));
}

MULTIPROCESSING_INLINE void futex_wait_marked(const FutexWord& word, std::uint32_t expected,
                                              std::uint32_t mark) {
    const long result =
        ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, expected, nullptr, nullptr, mark);
    if (result != 0 && errno != EAGAIN && errno != EINTR) throw_system_error("futex");
}

MULTIPROCESSING_INLINE int futex_wake_marked(const FutexWord& word, int count,
                                             std::uint32_t mark) noexcept {
    return static_cast<int>(
        ::syscall(SYS_futex, &word, FUTEX_WAKE_BITSET, count, nullptr, nullptr, mark));
}

}  // namespace multiprocessing::detail
