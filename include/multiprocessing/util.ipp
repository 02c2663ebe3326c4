// multiprocessing/util.ipp
//
// How finalizers run: see util.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/util.hpp"

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/exit_hooks.hpp"
#include "multiprocessing/process/fork_hooks.hpp"

namespace multiprocessing::util {

struct Finalize::State {
    explicit State(std::function<void()> f) : fn(std::move(f)) {}

    bool run() {
        if (pid != ::getpid() || !active.exchange(false)) return false;
        std::exchange(fn, nullptr)();
        return true;
    }

    std::function<void()> fn;
    const pid_t pid = ::getpid();
    std::atomic<bool> active{true};
};

MULTIPROCESSING_INLINE Finalize::Finalize(std::function<void()> fn, FinalizeOptions options)
    : state_(std::make_shared<State>(std::move(fn))), exitpriority_(options.exitpriority) {
    if (!state_->fn) throw ValueError("Finalize needs a function");
    if (!exitpriority_) return;
    detail::ExitHooks::add(*options.exitpriority, [state = state_] { state->run(); });
    detail::register_exit_handler();
}

MULTIPROCESSING_INLINE Finalize& Finalize::operator=(Finalize&& other) noexcept {
    if (this != &other) {
        end();
        state_ = std::move(other.state_);
        exitpriority_ = other.exitpriority_;
    }
    return *this;
}

MULTIPROCESSING_INLINE bool Finalize::operator()() { return state_ && state_->run(); }

MULTIPROCESSING_INLINE void Finalize::cancel() noexcept {
    if (state_) state_->active.store(false);
}

MULTIPROCESSING_INLINE bool Finalize::still_active() const noexcept {
    return state_ && state_->pid == ::getpid() && state_->active.load();
}

MULTIPROCESSING_INLINE void Finalize::end() noexcept {
    if (!state_ || exitpriority_) return;
    try {
        state_->run();
    } catch (const std::exception& error) {
        detail::report_error("a Finalize", error.what());
    } catch (...) {
        detail::report_error("a Finalize", "an object that is not a std::exception");
    }
}

MULTIPROCESSING_INLINE void register_after_fork(std::function<void()> fn) {
    if (!fn) throw ValueError("register_after_fork needs a function");
    detail::add_after_fork_hook(std::move(fn));
}

}  // namespace multiprocessing::util
