// multiprocessing/remote/managers/caller.hpp
//
// Who waits for the method that this thread runs. A method that blocks looks from time to time
// whether the caller is still there: the item that a killed client waited for is then left to
// others. Floor 9. Start at wait_for_caller. SPDX-License-Identifier: MIT
#pragma once

#include <poll.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "multiprocessing/remote/managers/lock_ledger.hpp"
#include "multiprocessing/remote/pickle/reader.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// The caller has gone, or the server ends: nobody will get the reply.
class CallerGone : public std::exception {
  public:
    [[nodiscard]] const char* what() const noexcept override { return "the caller has gone"; }
};

/// The caller of the method that a thread of a server runs.
class Caller {
  public:
    /// @param fd       the connection
    /// @param stopping whether the server ends
    /// @param locks    where it is noted which locks the client has
    Caller(int fd, const std::atomic<bool>& stopping, LockLedger& locks) noexcept
        : fd_(fd), stopping_(&stopping), locks_(&locks), outer_(current_) {
        current_ = this;
        pickles::kept_by_written = &kept_by_replies_;
    }
    Caller(const Caller&) = delete;
    Caller& operator=(const Caller&) = delete;
    /// Releases the locks that belong to this connection.
    ~Caller() {
        for (auto held = own_.rbegin(); held != own_.rend(); ++held) release_quietly(held->second);
        current_ = outer_;
        pickles::kept_by_written = outer_ != nullptr ? &outer_->kept_by_replies_ : nullptr;
    }

    void set_client(ClientPointer client) { client_ = std::move(client); }

    /// Lets go of what was kept for the caller: it has seen the last reply, and has references of
    /// its own to the objects whose proxies were in it.
    void forget_replies() noexcept { kept_by_replies_.clear(); }

    /// Says whether this thread runs a method whose caller has gone.
    static bool has_gone() { return current_ != nullptr && current_->is_gone(); }
    /// Throws CallerGone then.
    static void check() {
        if (has_gone()) throw CallerGone();
    }

    /// Notes that the caller has acquired a lock.
    /// @param of_thread whether the lock belongs to the thread: of the server, one for a connection
    /// @returns what releases it again if the caller does not hear of it
    static std::function<void()> note_acquired(const void* lock, bool of_thread,
                                               std::function<void()> release) {
        if (current_ == nullptr) return release;
        if (of_thread) {
            current_->own_.emplace_back(lock, std::move(release));
            return {};  // the connection ends then
        }
        current_->locks_->note(lock, current_->client_, release);
        return [release, lock, locks = current_->locks_, client = current_->client_] {
            if (locks->take(lock, client)) release();  // else its client's end has released it
        };
    }
    /// Notes that the caller has released a lock.
    static void note_released(const void* lock, bool of_thread) {
        if (current_ == nullptr) return;
        if (!of_thread) return current_->locks_->take_released(lock, current_->client_);
        auto& own = current_->own_;
        const auto found = std::find_if(own.rbegin(), own.rend(),
                                        [&](const auto& held) { return held.first == lock; });
        if (found != own.rend()) own.erase(std::next(found).base());
    }

  private:
    [[nodiscard]] bool is_gone() const noexcept {
        pollfd entry{fd_, POLLRDHUP, 0};
        return stopping_->load(std::memory_order_relaxed) ||
               (::poll(&entry, 1, 0) > 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0);
    }

    static inline thread_local Caller* current_ = nullptr;

    int fd_;
    const std::atomic<bool>* stopping_;
    LockLedger* locks_;
    Caller* outer_;
    ClientPointer client_{};
    std::vector<std::pair<const void*, std::function<void()>>> own_{};
    std::vector<std::shared_ptr<const void>> kept_by_replies_{};
};

/// How long a method waits before it looks for its caller again.
constexpr std::chrono::milliseconds caller_patience{200};

/// Waits for something in the place of a caller, as long as the caller is there.
/// @param attempt called with a time to wait; returns whether it has got what it waited for
/// @returns whether it has; false when the timeout has passed
/// @throws CallerGone
template <class Attempt>
bool wait_for_caller(Timeout timeout, Attempt attempt) {
    const Deadline deadline(timeout);
    for (;;) {
        const std::chrono::nanoseconds slice =
            deadline.is_forever()
                ? caller_patience
                : std::min<std::chrono::nanoseconds>(deadline.left(), caller_patience);
        if (attempt(Timeout(slice))) return true;
        if (deadline.has_passed()) return false;
        Caller::check();
    }
}

}  // namespace multiprocessing::detail
