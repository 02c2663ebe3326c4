// multiprocessing/dummy/life.ipp
//
// How a thread lives the life of a process: see life.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/dummy/life.hpp"

#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/thread.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/logging/outlets.hpp"
#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/exit_hooks.hpp"
#include "multiprocessing/process/state.hpp"

namespace multiprocessing::detail {

/// Runs a target in this thread: as run_child, but the process goes on.
/// @returns the exit code
MULTIPROCESSING_INLINE int run_target_in_thread(const std::string& name,
                                                const std::function<void()>& body) {
    const bool before = std::exchange(runs_target_in_thread, true);
    int status = 1;
    try {
        body();
        status = 0;
    } catch (const ExitRequest& request) {
        status = request.status & 0xFF;
    } catch (...) {
        report_exception(name);
    }
    runs_target_in_thread = before;
    return status;
}

MULTIPROCESSING_INLINE DummyLife::DummyLife()
    : name_(state().name()), authkey_(state().authkey()), is_started_(true), id_(::getpid()) {}

MULTIPROCESSING_INLINE DummyLife::DummyLife(std::shared_ptr<DummyLife> parent, std::string name,
                                            std::optional<bool> daemon, std::string_view kind)
    : parent_(std::move(parent)),
      name_(std::move(name)),
      daemon_(daemon.value_or(parent_->daemon())),
      lineage_(parent_->next_lineage()),
      authkey_(parent_->authkey()) {
    if (name_.empty()) name_ = std::string(kind) + "-" + lineage_;
}

MULTIPROCESSING_INLINE DummyLife::~DummyLife() {
    if (thread_.joinable()) thread_.detach();  // nobody waited for it
}

MULTIPROCESSING_INLINE const std::shared_ptr<DummyLife>& DummyLife::current() {
    if (current_ != nullptr) return *current_;
    // Never destroyed: used while static objects are.
    static const auto& main = *new std::shared_ptr<DummyLife>(std::make_shared<DummyLife>());
    return main;
}

MULTIPROCESSING_INLINE void DummyLife::start(std::function<void()> body) {
    state();  // before the names for the log: it sets its own
    log_process_name.store(name_for_log_of_thread);
    std::unique_lock lock(mutex_);
    // Under the lock: the thread begins with taking it.
    thread_ = start_thread([self = shared_from_this(), body = std::move(body)]() mutable {
        self->live(std::move(body));
    });
    is_started_ = true;
    changed_.wait(lock, [this] { return id_ != 0; });
    lock.unlock();
    parent_->add_child(shared_from_this());
}

MULTIPROCESSING_INLINE bool DummyLife::wait(const Deadline& deadline) {
    std::unique_lock lock(mutex_);
    while (!exitcode_) {
        if (deadline.has_passed()) return false;
        // An hour at a time, as everywhere: a wait for ever would overflow.
        const timespec left = deadline.left_as_timespec(std::chrono::hours(1));
        changed_.wait_for(
            lock, std::chrono::seconds(left.tv_sec) + std::chrono::nanoseconds(left.tv_nsec));
    }
    // The thread itself is as good as gone: it needs no lock any more.
    if (thread_.joinable()) {
        if (thread_.get_id() == std::this_thread::get_id()) return true;
        thread_.join();
    }
    return true;
}

MULTIPROCESSING_INLINE bool DummyLife::is_started() const {
    const std::lock_guard guard(mutex_);
    return is_started_;
}

MULTIPROCESSING_INLINE bool DummyLife::is_alive() const {
    const std::lock_guard guard(mutex_);
    return is_started_ && !exitcode_;
}

MULTIPROCESSING_INLINE std::optional<int> DummyLife::exitcode() const {
    const std::lock_guard guard(mutex_);
    return exitcode_;
}

MULTIPROCESSING_INLINE std::optional<pid_t> DummyLife::id() const {
    const std::lock_guard guard(mutex_);
    return id_ != 0 ? std::optional(id_) : std::nullopt;
}

MULTIPROCESSING_INLINE int DummyLife::sentinel() {
    const std::lock_guard guard(mutex_);
    if (!sentinel_) {
        sentinel_ = out_of_the_way(
            open_descriptor("eventfd", [&] { return ::eventfd(exitcode_ ? 1 : 0, EFD_CLOEXEC); }));
    }
    return sentinel_.get();
}

MULTIPROCESSING_INLINE std::string DummyLife::name() const {
    const std::lock_guard guard(mutex_);
    return name_;
}

MULTIPROCESSING_INLINE void DummyLife::set_name(std::string name) {
    const std::lock_guard guard(mutex_);
    name_ = std::move(name);
}

MULTIPROCESSING_INLINE std::string DummyLife::authkey() const {
    const std::lock_guard guard(mutex_);
    return authkey_;
}

MULTIPROCESSING_INLINE void DummyLife::set_authkey(std::string authkey) {
    const std::lock_guard guard(mutex_);
    authkey_ = std::move(authkey);
}

MULTIPROCESSING_INLINE void DummyLife::refuse_to_end() const {
    if (!is_alive()) return;
    throw RuntimeError("process " + name() +
                       " is a thread (multiprocessing::dummy), and a thread cannot be killed: "
                       "let it end by itself, for instance by an Event that it looks at");
}

MULTIPROCESSING_INLINE std::vector<std::shared_ptr<DummyLife>> DummyLife::running_children() {
    const std::lock_guard guard(mutex_);
    std::erase_if(children_, [](const auto& child) { return !child->is_alive(); });
    return children_;
}

MULTIPROCESSING_INLINE std::string DummyLife::state_text() const {
    const std::lock_guard guard(mutex_);
    if (!is_started_) return " initial";
    return exitcode_ ? " stopped exitcode=" + std::to_string(*exitcode_) : " started";
}

MULTIPROCESSING_INLINE std::string DummyLife::next_lineage() {
    const unsigned number = children_made_.fetch_add(1) + 1;
    return lineage_ + (lineage_.empty() ? "" : ":") + std::to_string(number);
}

MULTIPROCESSING_INLINE void DummyLife::add_child(std::shared_ptr<DummyLife> child) {
    (void)running_children();  // as a process collects its children with each start
    const std::lock_guard guard(mutex_);
    children_.push_back(std::move(child));
}

MULTIPROCESSING_INLINE std::string DummyLife::name_for_log_of_thread() {
    return current_ != nullptr ? (*current_)->name() : name_for_log();
}

MULTIPROCESSING_INLINE void DummyLife::live(std::function<void()> body) {
    const std::shared_ptr<DummyLife> self = shared_from_this();
    current_ = &self;
    std::size_t hook = 0;
    if (!daemon()) {
        // The end of the process waits for it, as the end of a process waits for its children:
        // after what has a priority of 0 or more, which includes the pools. A daemon is left
        // behind, and ends with the process.
        register_exit_handler();
        hook = ExitHooks::add(-1, [self] { self->wait(Timeout()); });
    }
    {
        const std::lock_guard guard(mutex_);
        id_ = ::gettid();
        changed_.notify_all();
    }
    const int status = run_target_in_thread(name(), body);
    body = nullptr;  // what the target holds goes before anyone is told
    if (hook != 0) ExitHooks::remove(hook);
    const std::lock_guard guard(mutex_);
    children_.clear();  // they know this one: otherwise neither would ever go
    exitcode_ = status;
    const std::uint64_t one = 1;
    // An eventfd takes a 1 without waiting.
    if (sentinel_) (void)!::write(sentinel_.get(), &one, sizeof one);
    changed_.notify_all();
    current_ = nullptr;
}

}  // namespace multiprocessing::detail
