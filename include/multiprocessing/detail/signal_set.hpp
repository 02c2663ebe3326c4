// multiprocessing/detail/signal_set.hpp
//
// A set of signals as the bits of one word, which can travel. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <signal.h>

#include <cstdint>

namespace multiprocessing::detail {

/// Returns the signals of a set: bit N for signal N.
inline std::uint64_t to_bits(const sigset_t& set) noexcept {
    std::uint64_t bits = 0;
    for (int number = 1; number < 64; ++number) {
        if (::sigismember(&set, number) == 1) bits |= std::uint64_t{1} << number;
    }
    return bits;
}

/// Returns the set of those signals.
inline sigset_t from_bits(std::uint64_t bits) noexcept {
    sigset_t set;
    ::sigemptyset(&set);
    for (int number = 1; number < 64; ++number) {
        if ((bits >> number & 1) != 0) ::sigaddset(&set, number);
    }
    return set;
}

}  // namespace multiprocessing::detail
