// multiprocessing/pool/calls/call_home.hpp
//
// CallHome: what a future needs of the pool that runs its call. Floor 5. SPDX-License-Identifier:
// MIT
#pragma once

#include <cstdint>

#include "multiprocessing/pool/calls/courier.hpp"

namespace multiprocessing::detail {

/// Where calls are under way, whatever runs them.
class CallHome {
  public:
    /// Returns who runs callbacks.
    [[nodiscard]] virtual Courier& courier() noexcept = 0;
    /// Returns what tells that some call is over.
    [[nodiscard]] virtual Arrivals arrivals() const noexcept = 0;
    /// Returns a number that changes when calls are given up, or begun in another order than made.
    [[nodiscard]] virtual std::uint32_t withdrawals() const noexcept = 0;

  protected:
    CallHome() = default;
    CallHome(const CallHome&) = default;
    CallHome& operator=(const CallHome&) = default;
    ~CallHome() = default;
};

}  // namespace multiprocessing::detail
