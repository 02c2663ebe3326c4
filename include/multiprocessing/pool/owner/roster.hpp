// multiprocessing/pool/owner/roster.hpp
//
// How many workers a pool is to have: its size, which resize changes; and which of them are there
// only when there is work for them. Floor 5. Start at Roster::resize and Roster::hires.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>

#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

class Crew;
class Lanes;
struct PoolBoard;

/// When workers come and go.
struct StaffWishes {
    bool on_demand = false;  // no worker is started before there is work for it
    Timeout idle_timeout;    // after which an idle worker leaves
};

/// The places of a pool that are open. A place below the pool's size is open: it has a worker, or
/// gets one. A worker in any other place leaves after the chunk that it is at. The caller holds a
/// lock, the same one each time, for all but size().
class Roster {
  public:
    [[gnu::cold]] void open(PoolBoard& board, Crew& crew, const Lanes& entries, std::uint32_t size,
                            const StaffWishes& wishes);

    /// Returns how many places are open. Needs no lock.
    [[nodiscard]] std::uint32_t size() const noexcept {
        return size_.load(std::memory_order_relaxed);
    }

    /// Opens and closes places. The caller then has the missing workers started.
    /// @throws std::bad_alloc; then nothing has changed
    [[gnu::cold]] void resize(std::uint32_t size);

    /// Returns how many of the missing workers are to be started now: all of them, unless workers
    /// come on demand. Then they are as many as there are chunks that nobody is free to take.
    [[nodiscard, gnu::cold]] std::uint32_t hires() noexcept;

    /// Returns whether there are open places without a worker, which new work may need.
    [[nodiscard]] bool has_vacancies() const noexcept { return has_vacancies_; }

  private:
    [[nodiscard]] bool is_free(std::uint32_t slot) const noexcept;
    void tell_to_leave(std::uint32_t slot) noexcept;
    void let_stay(std::uint32_t slot) noexcept;

    PoolBoard* board_ = nullptr;
    Crew* crew_ = nullptr;
    const Lanes* entries_ = nullptr;
    std::atomic<std::uint32_t> size_{0};
    bool on_demand_ = false;      // whether not every open place has a worker all the time
    bool has_vacancies_ = false;  // as hires() has found last
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/owner/roster.ipp"
#endif
