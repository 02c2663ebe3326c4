// multiprocessing/synchronize/event.hpp
//
// Event: a flag that processes can wait for. Mirrors CPython Lib/multiprocessing/synchronize.py,
// Event. Floor 2. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/synchronize/gate.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {
namespace detail {

/// An event in the heap. The bits of its word:
///      0        whether it is set
///      1        whether somebody may sleep
///      2 … 31   how often it was set, so that who waits sees that it was, even if it is clear
///      again
struct EventState : SharedObject {
    static constexpr std::uint32_t is_set = 1;
    static constexpr std::uint32_t waiting = 2;
    static constexpr std::uint32_t once = 4;

    FutexWord word{0};  // 24

    EventState() noexcept : SharedObject(ObjectKind::plain) {}

    void set() noexcept {
        std::uint32_t w = word.load(std::memory_order_relaxed);
        std::uint32_t next = 0;
        do {
            next = (w & is_set) != 0 ? w : ((w | is_set) & ~waiting) + once;
            // release: what was done before is seen by whoever sees the event set.
        } while (!word.compare_exchange_weak(w, next, std::memory_order_release,
                                             std::memory_order_relaxed));
        if ((w & waiting) != 0) futex_wake(word);
    }

    void clear() noexcept { word.fetch_and(~is_set, std::memory_order_relaxed); }

    bool wait(const Deadline& deadline) {
        // acquire: pairs with set.
        const std::uint32_t before = word.load(std::memory_order_acquire);
        const auto was_set = [&](std::uint32_t w) {
            return (w & is_set) != 0 || (w ^ before) / once != 0;
        };
        if (was_set(before)) return true;
        if (deadline.has_passed()) return false;
        if (spin_until([&] { return was_set(word.load(std::memory_order_acquire)); })) return true;
        for (;;) {
            std::uint32_t w = word.load(std::memory_order_acquire);
            if (was_set(w)) return true;
            if (deadline.has_passed()) return false;
            if ((w & waiting) == 0 &&
                !word.compare_exchange_strong(w, w | waiting, std::memory_order_relaxed)) {
                continue;
            }
            // At intervals, in case the one who set it was killed before it woke us.
            const timespec time = deadline.left_as_timespec(check_interval);
            futex_wait(word, w | waiting, &time);
        }
    }
};
static_assert(sizeof(EventState) == 32);

}  // namespace detail

/// A flag that processes can wait for; a handle. It begins clear.
/// @par Processes one that dies while it waits costs the others nothing
/// @par Source CPython Lib/multiprocessing/synchronize.py, Event
class Event {
  public:
    /// Makes a new event. @throws std::bad_alloc
    Event() : handle_(detail::make_shared_object<detail::EventState>()) {}

    /// Sets the flag, and wakes all who wait.
    void set() const noexcept { handle_->set(); }
    /// Clears the flag.
    void clear() const noexcept { handle_->clear(); }
    /// Returns whether the flag is set.
    [[nodiscard]] bool is_set() const noexcept {
        // acquire: pairs with EventState::set.
        return (handle_->word.load(std::memory_order_acquire) & detail::EventState::is_set) != 0;
    }

    /// Waits until the flag is set.
    ///
    /// **Blocking**: until then, at most for `timeout`. A signal does not end the wait.
    /// @returns whether it was; also when it was cleared right after
    bool wait(Timeout timeout = std::nullopt) const {
        return handle_->wait(detail::Deadline(timeout));
    }

    /// Two handles are equal when they are handles on the same event.
    friend bool operator==(const Event& a, const Event& b) noexcept {
        return a.handle_ == b.handle_;
    }

    /// For the library: the handle as it travels, and one that has arrived.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    static Event from_shared_handle(detail::AnyHandle handle) { return Event(std::move(handle)); }

    friend std::string text_of(const Event& event) {
        return event.is_set() ? "<Event set>" : "<Event unset>";
    }

  private:
    explicit Event(detail::AnyHandle handle) noexcept : handle_(std::move(handle)) {}

    detail::Handle<detail::EventState> handle_;
};

}  // namespace multiprocessing
