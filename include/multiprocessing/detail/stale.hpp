// multiprocessing/detail/stale.hpp
//
// Reads of memory that may be somebody else's by now: what is read may be garbage, and the caller
// finds out afterwards whether it is. Floor 0. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "multiprocessing/detail/sanitizers.hpp"

// Whoever has the memory now may write to it in any way. ThreadSanitizer would take that for an
// error of the program, so it does not look at these reads.
#ifdef MULTIPROCESSING_THREAD_SANITIZER
#define MULTIPROCESSING_UNWATCHED __attribute__((noinline, no_sanitize("thread")))
#else
#define MULTIPROCESSING_UNWATCHED
#endif

namespace multiprocessing::detail {

/// Reads a number, also one that is a std::atomic elsewhere.
template <class T>
MULTIPROCESSING_UNWATCHED inline T stale_load(const void* place) noexcept {
    if constexpr (thread_sanitizer) {
        return *static_cast<const volatile T*>(place);
    } else {
        return __atomic_load_n(static_cast<const T*>(place), __ATOMIC_RELAXED);
    }
}

/// Copies words. Many of them are a memcpy, which is faster; few are not, because whoever reads the
/// copy at once waits for the end of memcpy's longer stores.
inline void stale_copy(std::uint64_t* to, const std::uint64_t* from, std::size_t count) noexcept {
    constexpr std::size_t few = 24;
    if (thread_sanitizer || count <= few) {
        for (std::size_t i = 0; i < count; ++i) to[i] = stale_load<std::uint64_t>(from + i);
    } else {
        std::memcpy(to, from, count * sizeof(std::uint64_t));
        // The copy is not to be put off, nor read again where it came from.
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
}

}  // namespace multiprocessing::detail

#undef MULTIPROCESSING_UNWATCHED
