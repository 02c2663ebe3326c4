// multiprocessing/detail/futex.hpp
//
// Waiting on a word of memory that processes share: the futex system call, and the pause in a spin
// loop. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <time.h>

#include <atomic>
#include <bit>
#include <climits>
#include <cstdint>
#include <span>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

class Deadline;  // timeout.hpp

/// A word that threads of several processes can sleep on.
using FutexWord = std::atomic<std::uint32_t>;
static_assert(sizeof(FutexWord) == 4 && FutexWord::is_always_lock_free,
              "the kernel compares a futex as 32 plain bits");

/// Returns the half of a 64-bit word that the kernel compares: the lower one.
inline const FutexWord& futex_half(const std::atomic<std::uint64_t>& word) noexcept {
    static_assert(std::endian::native == std::endian::little);
    return *reinterpret_cast<const FutexWord*>(&word);  // only its address is used
}

/// Sleeps as long as `word` holds `expected`, but at most `timeout` (nullptr: no limit).
///
/// It returns early on a wake-up, on a signal, and sometimes for no reason: the caller must check
/// its condition again. It does not use FUTEX_PRIVATE, as another process may wake it.
/// @returns whether the time ran out
/// @par Source futex(2), FUTEX_WAIT: a relative timeout, on CLOCK_MONOTONIC
bool futex_wait(const FutexWord& word, std::uint32_t expected, const timespec* timeout);

/// Sleeps as futex_wait does, but at most until `deadline`, or for an hour: the caller checks its
/// condition again anyway.
void futex_wait_until(const FutexWord& word, std::uint32_t expected, const Deadline& deadline);

/// A word to sleep on, and the value that it must hold.
struct FutexExpectation {
    const FutexWord* word;
    std::uint32_t expected;
};

/// Sleeps as futex_wait_until does, as long as each of several words holds its expected value.
/// Where the kernel cannot do that (before Linux 5.16, or for more than 128 words), it sleeps on
/// the first word, for at most ten milliseconds.
/// @param words at least one
/// @par Source futex_waitv in the kernel's Documentation/userspace-api/futex2.rst: an absolute
///      timeout; FUTEX2_SIZE_U32 is 2
void futex_wait_any(std::span<const FutexExpectation> words, const Deadline& deadline);

/// Wakes at most `count` of the threads that sleep on `word`.
/// @returns how many it woke
int futex_wake(const FutexWord& word, int count = INT_MAX) noexcept;

/// Sleeps as futex_wait does without a time limit. futex_wake_marked can choose this sleeper by its
/// mark.
/// @param mark any bits, at least one
/// @par Source futex(2), FUTEX_WAIT_BITSET
void futex_wait_marked(const FutexWord& word, std::uint32_t expected, std::uint32_t mark);

/// Wakes at most `count` of the threads that sleep on `word` with one of the bits of `mark`, or
/// without a mark.
/// @returns how many it woke
int futex_wake_marked(const FutexWord& word, int count, std::uint32_t mark) noexcept;

/// Tells the core that this is a spin loop. So the core saves power and leaves the loop sooner.
inline void spin_pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb" ::
                     : "memory");  // yield is a no-op on most cores; isb waits about as pause does
#endif
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/futex.ipp"
#endif
