// multiprocessing/pool/threads/call_queue.hpp
//
// The calls that the threads of a pool have not taken yet: those of a higher priority first, those
// of one priority in their order. Floor 5. SPDX-License-Identifier: MIT
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <utility>

namespace multiprocessing::detail {

class ThreadCall;

/// Calls that wait. The caller holds a lock.
class CallQueue {
  public:
    using Calls = std::deque<std::shared_ptr<ThreadCall>>;

    [[nodiscard]] bool empty() const noexcept { return usual_.empty() && others_.empty(); }

    void push(std::shared_ptr<ThreadCall> call, int priority) {
        list_of(priority).push_back(std::move(call));
    }
    /// Takes back the call that was pushed last, with this priority.
    void pop_latest(int priority) noexcept {
        list_of(priority).pop_back();
        drop_if_empty(priority);
    }

    /// Returns the next call. @pre !empty()
    [[nodiscard]] std::shared_ptr<ThreadCall> front() const {
        return usual_is_next() ? usual_.front() : others_.begin()->second.front();
    }
    /// Drops the next call. @pre !empty()
    void pop_front() noexcept {
        if (usual_is_next()) return usual_.pop_front();
        others_.begin()->second.pop_front();
        drop_if_empty(others_.begin()->first);
    }

    /// Calls `use(call)` for each.
    template <class Use>
    void for_each(Use use) const {
        for (const auto& call : usual_) use(call);
        for (const auto& [priority, calls] : others_) {
            for (const auto& call : calls) use(call);
        }
    }
    void clear() noexcept {
        usual_.clear();
        others_.clear();
    }

  private:
    [[nodiscard]] bool usual_is_next() const noexcept {
        return !usual_.empty() && (others_.empty() || others_.begin()->first < 0);
    }
    Calls& list_of(int priority) { return priority == 0 ? usual_ : others_[priority]; }
    void drop_if_empty(int priority) noexcept {
        const auto found = others_.find(priority);
        if (found != others_.end() && found->second.empty()) others_.erase(found);
    }

    Calls usual_;                                  // of priority 0
    std::map<int, Calls, std::greater<>> others_;  // none of them is empty
};

}  // namespace multiprocessing::detail
