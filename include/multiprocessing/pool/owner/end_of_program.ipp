// multiprocessing/pool/owner/end_of_program.ipp
//
// How pools end with the program: see end_of_program.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/end_of_program.hpp"

#include <atomic>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <exception>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool/owner/supervisor.hpp"
#include "multiprocessing/process/exit_hooks.hpp"
#include "multiprocessing/reduction/functions/images.hpp"

namespace multiprocessing::detail {

/// The thread that destroys a pool which is a static object: most likely, it ends the program.
inline constinit std::atomic<std::uint64_t> thread_that_destroys_statics{0};

/// What std::terminate called before.
inline constinit std::atomic<std::terminate_handler> terminate_before{nullptr};

/// Returns whether the error that nobody has caught is one that a call to a pool throws when the
/// pool has been ended.
[[gnu::cold]] MULTIPROCESSING_INLINE bool ended_with_its_pool() noexcept {
    const std::exception_ptr error = std::current_exception();
    // An exception that meets a noexcept function may not count as handled yet.
    if (error == nullptr) return std::uncaught_exceptions() > 0;
    try {
        std::rethrow_exception(error);
    } catch (const CancelledError&) {
        return true;
    } catch (const BrokenProcessPool&) {
        return true;
    } catch (const ValueError&) {
        return true;
    } catch (const RuntimeError&) {
        return true;
    } catch (...) {
    }
    return false;
}

[[noreturn, gnu::cold]] MULTIPROCESSING_INLINE void terminate_unless_at_end() noexcept {
    const std::uint64_t destroyer = thread_that_destroys_statics.load();
    const bool is_at_end =
        another_thread_ends_process() || (destroyer != 0 && destroyer != this_thread_of_process());
    if (is_at_end && ended_with_its_pool()) wait_for_end_of_process();
    if (const auto before = terminate_before.load()) before();
    std::abort();
}

/// At the end of the program: keeps the threads that its pools' ends surprise from aborting it.
[[gnu::cold]] MULTIPROCESSING_INLINE void let_waiting_threads_be() noexcept {
    const std::terminate_handler known = std::get_terminate();
    if (known == terminate_unless_at_end) return;
    terminate_before.store(known);
    std::set_terminate(terminate_unless_at_end);
}

MULTIPROCESSING_INLINE void let_waiting_threads_be_if_static(const void* object) {
    if (!main_image().contains(reinterpret_cast<std::uintptr_t>(object))) return;
    thread_that_destroys_statics.store(this_thread_of_process());
    let_waiting_threads_be();
}

/// Returns a hook that calls `act(pool)` if the pool is still there.
template <class Act>
[[gnu::cold]] auto exit_hook_of(const std::shared_ptr<Supervisor>& pool, Act act) {
    return [weak = std::weak_ptr(pool), act] {
        if (const auto living = weak.lock()) act(*living);
    };
}

MULTIPROCESSING_INLINE PoolExitHooks::~PoolExitHooks() {
    for (const std::size_t number : numbers_) {
        if (number != 0) ExitHooks::remove(number);
    }
}

MULTIPROCESSING_INLINE void PoolExitHooks::add_finishing(const std::shared_ptr<Supervisor>& pool) {
    numbers_[0] = ExitHooks::add(INT_MAX, exit_hook_of(pool, [](Supervisor& living) {
                                     let_waiting_threads_be();
                                     living.finish(OtherCallbacks::after);
                                 }));
}

MULTIPROCESSING_INLINE void PoolExitHooks::add_terminating(
    const std::shared_ptr<Supervisor>& pool) {
    // All pools are terminated first: what one waits for may depend on another. Then each ends, at
    // Python's priority.
    numbers_[0] = ExitHooks::add(16, exit_hook_of(pool, [](Supervisor& living) {
                                     let_waiting_threads_be();
                                     if (living.is_owner()) living.terminate();
                                 }));
    numbers_[1] = ExitHooks::add(
        15, exit_hook_of(pool, [](Supervisor& living) { living.end(OtherCallbacks::after); }));
}

}  // namespace multiprocessing::detail
