// multiprocessing/detail/futex.hpp
//
// Waiting on a word of memory that processes share: the futex system call, and the pause of a spin
// loop. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>

#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

using FutexWord = std::atomic<std::uint32_t>;
static_assert(sizeof(FutexWord) == 4 && FutexWord::is_always_lock_free,
              "the kernel compares a futex as 32 plain bits");

/// Returns the half of a word that the kernel compares: the lower one.
inline const FutexWord& futex_half(const std::atomic<std::uint64_t>& word) noexcept {
    static_assert(std::endian::native == std::endian::little);
    return *reinterpret_cast<const FutexWord*>(&word);  // only its address is used
}

/// Sleeps for as long as `word` holds `expected`, at most `timeout` (nullptr: for ever).
///
/// Returns early on a wake-up, on a signal, and for no reason at all: the caller looks at its
/// condition again. Not FUTEX_PRIVATE: the waker may be another process.
/// @returns whether the time ran out
/// @par Source futex(2), FUTEX_WAIT: a relative timeout, on CLOCK_MONOTONIC
inline bool futex_wait(const FutexWord& word, std::uint32_t expected, const timespec* timeout) {
    const long result = ::syscall(SYS_futex, &word, FUTEX_WAIT, expected, timeout, nullptr, 0);
    if (result == 0 || errno == EAGAIN || errno == EINTR) return false;
    if (errno == ETIMEDOUT) return true;
    throw_system_error("futex");
}

/// Sleeps as futex_wait does, at most until `deadline`, or an hour: the caller looks again anyway.
inline void futex_wait_until(const FutexWord& word, std::uint32_t expected,
                             const Deadline& deadline) {
    // Without a timer, where none is needed: it costs a microsecond.
    if (deadline.is_forever()) {
        futex_wait(word, expected, nullptr);
    } else {
        const timespec left = deadline.left_as_timespec(std::chrono::hours(1));
        futex_wait(word, expected, &left);
    }
}

/// Wakes at most `count` of those who sleep on `word`.
/// @returns how many were woken
inline int futex_wake(const FutexWord& word, int count = INT_MAX) noexcept {
    // The only error is a bad address, and the word is a reference.
    return static_cast<int>(::syscall(SYS_futex, &word, FUTEX_WAKE, count, nullptr, nullptr, 0));
}

/// Sleeps as futex_wait does, without end, as one that futex_wake_marked can choose.
/// @param mark any bits, at least one
/// @par Source futex(2), FUTEX_WAIT_BITSET
inline void futex_wait_marked(const FutexWord& word, std::uint32_t expected, std::uint32_t mark) {
    const long result =
        ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, expected, nullptr, nullptr, mark);
    if (result != 0 && errno != EAGAIN && errno != EINTR) throw_system_error("futex");
}

/// Wakes at most `count` of those who sleep on `word` with one of the bits of `mark`, or unmarked.
/// @returns how many were woken
inline int futex_wake_marked(const FutexWord& word, int count, std::uint32_t mark) noexcept {
    return static_cast<int>(
        ::syscall(SYS_futex, &word, FUTEX_WAKE_BITSET, count, nullptr, nullptr, mark));
}

/// Tells the core that this is a spin loop, so that it saves power and leaves the loop sooner.
inline void spin_pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb" ::
                     : "memory");  // yield is a no-op on most cores; isb waits about as pause does
#endif
}

}  // namespace multiprocessing::detail
