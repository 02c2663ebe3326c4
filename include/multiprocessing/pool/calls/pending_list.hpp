// multiprocessing/pool/calls/pending_list.hpp
//
// The calls of a pool that may not be over: the thread that ends the pool has to end them too.
// Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "multiprocessing/pool/calls/pending_call.hpp"

namespace multiprocessing::detail {

/// Calls of type Call. The caller holds a lock.
template <class Call>
class PendingList {
  public:
    void add(std::shared_ptr<Call> call) {
        // Two for each new one, so that calls that are over and never asked for do not pile up.
        drop_if_over();
        drop_if_over();
        calls_.push_back(std::move(call));
    }

    /// Notes that the caller has the call's results.
    void remove(const std::shared_ptr<Call>& call) noexcept {
        // From the end: the call that was waited for is mostly there.
        for (std::size_t i = calls_.size(); i-- > 0;) {
            if (calls_[i] != call) continue;
            calls_[i].swap(calls_.back());  // their order does not matter
            calls_.pop_back();
            return;
        }
    }

    /// Ends all calls that are not over. @param error null: CancelledError
    [[gnu::cold]] void give_up(const std::exception_ptr& error) {
        for (const auto& call : calls_) {
            if (error) {
                call->give_up(error);
            } else if (!call->is_over()) {
                call->give_up_as_cancelled();
            }
        }
    }

    [[nodiscard]] auto begin() const noexcept { return calls_.begin(); }
    [[nodiscard]] auto end() const noexcept { return calls_.end(); }

  private:
    /// Looks at one call, each time at the next one.
    void drop_if_over() noexcept {
        if (next_ >= calls_.size()) next_ = 0;
        if (calls_.empty()) return;
        if (calls_[next_]->is_over()) {
            calls_[next_].swap(calls_.back());
            calls_.pop_back();
        } else {
            ++next_;
        }
    }

    std::vector<std::shared_ptr<Call>> calls_;
    std::size_t next_ = 0;
};

}  // namespace multiprocessing::detail
