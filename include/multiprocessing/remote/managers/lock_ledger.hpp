// multiprocessing/remote/managers/lock_ledger.hpp
//
// Which client has acquired which lock of a manager's server. When the client's process ends, they
// are released: a lock does not stay locked for ever. Floor 9. SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <exception>
#include <functional>
#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

#include "multiprocessing/logging/event.hpp"
#include "multiprocessing/remote/managers/errors.hpp"
#include "multiprocessing/remote/managers/objects.hpp"

namespace multiprocessing::detail {

/// Releases a lock whose holder has gone. That somebody else has released it meanwhile is no error.
inline void release_quietly(const std::function<void()>& release) noexcept {
    try {
        release();
    } catch (const std::exception& error) {
        note(log_level::debug, "manager: a lock was not released: ", error);
    }
}

/// The locks and semaphores that clients have. Any number of threads may use it.
class LockLedger {
  public:
    /// Notes that a client has acquired a lock.
    void note(const void* lock, const ClientPointer& client, std::function<void()> release) {
        const std::scoped_lock guard(mutex_);
        held_.push_back({lock, client, std::move(release)});
    }

    /// Takes out one note of this client and this lock. @returns whether there was one
    bool take(const void* lock, const ClientPointer& client) {
        const std::scoped_lock guard(mutex_);
        return take_if(
            [&](const Held& held) { return held.lock == lock && held.client == client; });
    }

    /// Takes out one note of the lock, as it was released: of this client, or else of another one,
    /// as a lock may be released by anybody.
    void take_released(const void* lock, const ClientPointer& client) {
        if (take(lock, client)) return;
        const std::scoped_lock guard(mutex_);
        (void)take_if([&](const Held& held) { return held.lock == lock; });
    }

    /// Releases what a client has: its process has ended.
    void drop(const ClientPointer& client) {
        std::vector<Held> left;
        {
            const std::scoped_lock guard(mutex_);
            const auto theirs =
                std::stable_partition(held_.begin(), held_.end(),
                                      [&](const Held& held) { return held.client != client; });
            left.assign(std::make_move_iterator(theirs), std::make_move_iterator(held_.end()));
            held_.erase(theirs, held_.end());
        }
        for (auto held = left.rbegin(); held != left.rend(); ++held) release_quietly(held->release);
    }

  private:
    struct Held {
        const void* lock;
        ClientPointer client;
        std::function<void()> release;
    };

    template <class Condition>
    bool take_if(Condition condition) {
        const auto found = std::find_if(held_.rbegin(), held_.rend(), condition);
        if (found == held_.rend()) return false;
        held_.erase(std::next(found).base());
        return true;
    }

    std::mutex mutex_;
    std::vector<Held> held_;
};

}  // namespace multiprocessing::detail
