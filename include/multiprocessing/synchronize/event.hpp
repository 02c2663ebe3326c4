// multiprocessing/synchronize/event.hpp
//
// Event: a flag that processes can wait for. Mirrors CPython Lib/multiprocessing/synchronize.py,
// Event. Floor 2. SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {
namespace detail {

/// An event in the heap. The bits of its word:
///      0        whether it is set
///      1        waiting: whether a thread may be asleep
///      2 … 31   how often it was set, so that a waiter notices it even when it is clear again
struct EventState : SharedObject {
    static constexpr std::uint32_t is_set = 1;
    static constexpr std::uint32_t waiting = 2;
    static constexpr std::uint32_t once = 4;

    FutexWord word{0};  // 24

    EventState() noexcept : SharedObject(ObjectKind::plain) {}

    void set() noexcept;

    void clear() noexcept { word.fetch_and(~is_set, std::memory_order_relaxed); }

    bool wait(const Deadline& deadline);
};
static_assert(sizeof(EventState) == 32);

}  // namespace detail

/// A flag that processes can wait for; a handle. It begins clear.
/// @par Processes When a process dies while it waits, the others lose nothing.
/// @par Source CPython Lib/multiprocessing/synchronize.py, Event
class Event {
  public:
    /// Makes a new event. @throws std::bad_alloc
    Event();

    /// Sets the flag, and wakes all who wait.
    void set() const { handle_->set(); }
    /// Clears the flag.
    void clear() const { handle_->clear(); }
    /// Returns whether the flag is set.
    [[nodiscard]] bool is_set() const {
        // acquire: pairs with EventState::set.
        return (handle_->word.load(std::memory_order_acquire) & detail::EventState::is_set) != 0;
    }

    /// Waits until the flag is set.
    ///
    /// **Blocking**: until then, at most for `timeout`. A signal does not end the wait.
    /// @returns whether it was set; true also when it was cleared right after
    bool wait(Timeout timeout = std::nullopt) const {
        // The deadline reads the clock, so it is made only when there is something to wait for.
        return is_set() || handle_->wait(detail::Deadline(timeout));
    }

    /// Two handles are equal when they are handles on the same event.
    friend bool operator==(const Event& a, const Event& b) noexcept {
        return a.handle_ == b.handle_;
    }

    /// For the library: the handle, in the form in which it is sent to other processes.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    /// For the library: makes an event of a handle that has arrived.
    static Event from_shared_handle(detail::AnyHandle handle) { return Event(std::move(handle)); }

    friend std::string text_of(const Event& event) {
        return event.is_set() ? "<Event set>" : "<Event unset>";
    }

  private:
    explicit Event(detail::AnyHandle handle) noexcept : handle_(std::move(handle)) {}

    detail::Handle<detail::EventState> handle_;
};

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/synchronize/event.ipp"
#endif
