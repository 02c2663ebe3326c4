// multiprocessing/synchronize/format.hpp
//
// fmt prints locks and the like as Python's repr does: <Lock(owner=None)>. Floor 2.
//
// synchronize.hpp includes this file when fmt was included before; include it yourself otherwise.
// fmt as a header alone takes a second or more to compile, which who does not use it should not
// pay. SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <string>

#include "multiprocessing/synchronize/barrier.hpp"
#include "multiprocessing/synchronize/condition.hpp"
#include "multiprocessing/synchronize/event.hpp"
#include "multiprocessing/synchronize/lock.hpp"
#include "multiprocessing/synchronize/semaphore.hpp"

namespace multiprocessing::detail {

/// Says who holds a lock, as Python does; a process that died has abandoned it.
inline std::string owner_text(const LockState& lock) {
    if (lock.word.is_abandoned()) return "abandoned";
    const ProcessId holder = lock.word.holder();
    if (!holder) return "None";
    if (holder != self()) return "SomeOtherProcess";
    if (!lock.is_mine()) return "SomeOtherThread";
    const char* const name = heap().family()[holder].name;
    return *name == '\0' ? "MainProcess" : name;
}

inline std::string text_of(const Lock& lock) {
    return "<Lock(owner=" + owner_text(lock.state()) + ")>";
}
inline std::string text_of(const RLock& lock) {
    const LockState& state = lock.state();
    const std::uint32_t depth = state.depth.load(std::memory_order_relaxed);
    const std::string count = !state.word.holder() ? "0"
                              : state.is_mine()    ? std::to_string(depth)
                                                   : "nonzero";
    return "<RLock(" + owner_text(state) + ", " + count + ")>";
}
inline std::string text_of(const AnyLock& lock) {
    if (lock.state().recursive == 0) return text_of(static_cast<Lock>(lock));
    return text_of(static_cast<RLock>(lock));
}
inline std::string text_of(const Semaphore& semaphore) {
    return "<Semaphore(value=" + std::to_string(semaphore.get_value()) + ")>";
}
inline std::string text_of(const BoundedSemaphore& semaphore) {
    return "<BoundedSemaphore(value=" + std::to_string(semaphore.get_value()) +
           ", maxvalue=" + std::to_string(semaphore.state().maximum) + ")>";
}
inline std::string text_of(const Condition& condition) {
    return "<Condition(" + text_of(condition.get_lock()) + ")>";
}
inline std::string text_of(const Event& event) {
    return event.is_set() ? "<Event set>" : "<Event unset>";
}
inline std::string text_of(const Barrier& barrier) {
    if (barrier.broken()) return "<Barrier broken>";
    return "<Barrier waiters=" + std::to_string(barrier.n_waiting()) + "/" +
           std::to_string(barrier.parties()) + ">";
}

template <class T>
concept has_text = std::same_as<T, Lock> || std::same_as<T, RLock> || std::same_as<T, AnyLock> ||
                   std::same_as<T, Semaphore> || std::same_as<T, BoundedSemaphore> ||
                   std::same_as<T, Condition> || std::same_as<T, Event> || std::same_as<T, Barrier>;

}  // namespace multiprocessing::detail

/// Prints the classes of synchronize.hpp.
template <multiprocessing::detail::has_text T>
struct fmt::formatter<T> : fmt::formatter<std::string> {
    template <class FormatContext>
    auto format(const T& object, FormatContext& context) const {
        return fmt::formatter<std::string>::format(multiprocessing::detail::text_of(object),
                                                   context);
    }
};
