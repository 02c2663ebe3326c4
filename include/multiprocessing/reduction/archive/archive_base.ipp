// multiprocessing/reduction/archive/archive_base.ipp
//
// How a walk through deeply nested values goes on in another thread: see archive_base.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/reduction/archive/archive_base.hpp"

#include <pthread.h>

#include <exception>
#include <system_error>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/sanitizers.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

struct DeepWalk::Task {
    void* step;
    void (*call)(void*);
    std::exception_ptr error;
};

/// Returns where this thread's stack ends; 0 when the system does not tell.
[[gnu::cold, gnu::noinline]] MULTIPROCESSING_INLINE std::uintptr_t
look_up_lowest_address() noexcept {
    pthread_attr_t attributes;
    if (::pthread_getattr_np(::pthread_self(), &attributes) != 0) return 0;
    void* lowest = nullptr;
    std::size_t size = 0;
    const int error = ::pthread_attr_getstack(&attributes, &lowest, &size);
    (void)::pthread_attr_destroy(&attributes);  // fails only for what is not initialised
    return error == 0 ? reinterpret_cast<std::uintptr_t>(lowest) : 0;
}

[[gnu::cold]] MULTIPROCESSING_INLINE std::uintptr_t lowest_address() noexcept {
    static constinit thread_local std::uintptr_t known = 1;
    if (known == 1) known = look_up_lowest_address();
    return known;
}

MULTIPROCESSING_INLINE bool DeepWalk::is_nearly_used_up(std::uintptr_t here) const noexcept {
    // ThreadSanitizer has room for 65,536 calls in each thread.
    constexpr std::uintptr_t longest_walk = std::uintptr_t{1} << 20;
    if (thread_sanitizer && first_ - here > longest_walk) return true;
    return here - lowest_address() <= reserve;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void DeepWalk::go_on_elsewhere(void* step,
                                                                        void (*call)(void*)) {
    if (threads_ == most_threads) {
        throw ValueError(
            "the object's pointers or containers are nested too deeply to travel: keep the "
            "nodes in one vector and refer to them by index");
    }
    Task task{step, call, nullptr};
    const std::uintptr_t first = std::exchange(first_, 0);
    ++threads_;
    run_in_thread(task);
    --threads_;
    first_ = first;
    if (task.error) std::rethrow_exception(task.error);
}

MULTIPROCESSING_INLINE void* DeepWalk::run(void* known) noexcept {
    auto& task = *static_cast<Task*>(known);
    try {
        task.call(task.step);
    } catch (...) {
        task.error = std::current_exception();
    }
    return nullptr;
}

MULTIPROCESSING_INLINE void DeepWalk::run_in_thread(Task& task) {
    pthread_attr_t attributes;
    const char* call = "pthread_attr_init";
    int error = ::pthread_attr_init(&attributes);
    if (error == 0) {
        call = "pthread_attr_setstacksize";  // refused: the walk would overflow what it got instead
        error = ::pthread_attr_setstacksize(&attributes, new_stack);
        pthread_t thread{};
        if (error == 0) {
            call = "pthread_create";
            error = ::pthread_create(&thread, &attributes, run, &task);
        }
        (void)::pthread_attr_destroy(&attributes);  // fails only for what is not initialised
        // Fails only for a thread that cannot be joined, which this one is not.
        if (error == 0) (void)::pthread_join(thread, nullptr);
    }
    if (error != 0) {
        task.error =
            std::make_exception_ptr(std::system_error(error, std::generic_category(), call));
    }
}

}  // namespace multiprocessing::detail
