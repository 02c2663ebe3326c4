// multiprocessing/detail/signal_set.ipp
//
// Sets and bits: see signal_set.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/signal_set.hpp"

#include <signal.h>

#include <cstdint>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE std::uint64_t to_bits(const sigset_t& set) noexcept {
    std::uint64_t bits = 0;
    for (int number = 1; number < 64; ++number) {
        if (::sigismember(&set, number) == 1) bits |= std::uint64_t{1} << number;
    }
    return bits;
}

MULTIPROCESSING_INLINE sigset_t from_bits(std::uint64_t bits) noexcept {
    sigset_t set;
    ::sigemptyset(&set);
    for (int number = 1; number < 64; ++number) {
        if ((bits >> number & 1) != 0) ::sigaddset(&set, number);
    }
    return set;
}

MULTIPROCESSING_INLINE SignalBlock::SignalBlock() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
}

}  // namespace multiprocessing::detail
