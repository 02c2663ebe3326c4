// multiprocessing/detail/signal_set.hpp
//
// A set of signals as the bits of one word, which can be sent to another process; and a scope in
// which a thread gets no signals. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <signal.h>

#include <cstdint>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// Returns the signals of a set as bits: bit N stands for signal N.
std::uint64_t to_bits(const sigset_t& set) noexcept;

/// Returns the set of signals for the bits that to_bits returns.
sigset_t from_bits(std::uint64_t bits) noexcept;

/// Blocks all signals for this thread while the object lives. A thread that is started meanwhile
/// gets none of the signals that are meant for the program.
class SignalBlock {
  public:
    SignalBlock() noexcept;
    SignalBlock(const SignalBlock&) = delete;
    SignalBlock& operator=(const SignalBlock&) = delete;
    ~SignalBlock() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

    [[nodiscard]] const sigset_t& before() const noexcept { return before_; }

  private:
    sigset_t before_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/signal_set.ipp"
#endif
