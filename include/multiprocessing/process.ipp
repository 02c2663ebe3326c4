// multiprocessing/process.ipp
//
// What a Process does whatever its start method is, and what a process tells of its relatives: see
// process.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process.hpp"

#include <string.h>

#include <algorithm>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/pidfd.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"

namespace multiprocessing {
namespace detail {

/// Says how far a child is, as Python does; null is one that was not started.
MULTIPROCESSING_INLINE std::string process_state_text(Child* child) {
    if (child == nullptr) return " initial";
    const std::optional<int> status = child->exitcode();
    if (!status) return " started";
    const char* const name = *status < 0 ? ::sigabbrev_np(-*status) : nullptr;
    return " stopped exitcode=" +
           (name != nullptr ? "-SIG" + std::string(name) : std::to_string(*status));
}

MULTIPROCESSING_INLINE ProcessControl::ProcessControl(ProcessOptions options, std::string_view kind)
    : name_(std::move(options.name)),
      daemon_(options.daemon.value_or(default_daemon())),
      lineage_(detail::state().next_lineage()),
      authkey_(detail::state().authkey()),
      output_{std::move(options.stdout_file), std::move(options.stderr_file)} {
    output_.make_absolute();
    if (name_.empty()) name_ = std::string(kind) + "-" + lineage_;
}

MULTIPROCESSING_INLINE ProcessIdentity ProcessControl::prepare_start() {
    check_open();
    if (child_) throw AssertionError("cannot start a process twice");
    if (creator_ != self()) {
        throw AssertionError("can only start a process object created by current process");
    }
    ProcessState& state = detail::state();
    if (!state.identity().may_have_children) {
        throw AssertionError("daemonic processes are not allowed to have children");
    }
    state.reap();
    heap().fit_address_space();
    return identity(state);
}

MULTIPROCESSING_INLINE void ProcessControl::note_start(std::shared_ptr<Child> child) {
    child_ = std::move(child);
    in_child_ = false;  // nothing has changed it, but for a target that ran in this process
    detail::state().add(child_);
    register_exit_handler();
}

MULTIPROCESSING_INLINE bool ProcessControl::join(Timeout timeout) {
    check_open();
    if (!child_) throw AssertionError("can only join a started process");
    if (in_child_ || !child_->is_mine()) throw AssertionError("can only join a child process");
    if (!child_->wait(timeout)) return false;
    detail::state().remove(*child_);
    return true;
}

MULTIPROCESSING_INLINE bool ProcessControl::is_alive() const {
    check_open();
    if (in_child_) return true;
    if (!child_) return false;
    if (!child_->is_mine()) throw AssertionError("can only test a child process");
    return child_->is_alive();
}

MULTIPROCESSING_INLINE void ProcessControl::signal(int number) {
    check_open();
    if (!child_) throw AssertionError("can only signal a started process");
    if (!child_->is_mine()) throw AssertionError("can only signal a child process");
    child_->signal(number);
}

MULTIPROCESSING_INLINE void ProcessControl::close() {
    if (closed_) return;
    if (child_ && child_->is_mine()) {
        if (child_->is_alive()) {
            throw ValueError("Cannot close a process while it is still running. You should "
                             "first call join() or terminate().");
        }
        detail::state().remove(*child_);
    }
    child_.reset();
    closed_ = true;
}

MULTIPROCESSING_INLINE void ProcessControl::set_name(std::string name) {
    name_ = std::move(name);
    if (child_) child_->set_name(name_);
}

MULTIPROCESSING_INLINE void ProcessControl::set_daemon(bool daemon) {
    if (child_) throw AssertionError("process has already started");
    daemon_ = daemon;
}

MULTIPROCESSING_INLINE std::optional<pid_t> ProcessControl::pid() const {
    check_open();
    if (in_child_) return ::getpid();
    return child_ ? std::optional(child_->pid()) : std::nullopt;
}

MULTIPROCESSING_INLINE std::optional<int> ProcessControl::exitcode() const {
    check_open();
    return child_ && !in_child_ && child_->is_mine() ? child_->exitcode() : std::nullopt;
}

MULTIPROCESSING_INLINE int ProcessControl::sentinel() const {
    check_open();
    if (!child_) throw ValueError("process not started");
    return child_->sentinel();
}

MULTIPROCESSING_INLINE std::string ProcessControl::text() const {
    std::string text = "<Process name='" + name_ + "'";
    if (closed_) return text + " closed>";
    const bool is_mine = !child_ || child_->is_mine();
    if (const auto known = pid()) text += " pid=" + std::to_string(*known);
    text += " parent=" + std::to_string(creator_pid_);
    text += in_child_ ? " started" : !is_mine ? " unknown" : process_state_text(child_.get());
    return text + (daemon_ ? " daemon>" : ">");
}

MULTIPROCESSING_INLINE void ProcessControl::check_open() const {
    if (closed_) throw ValueError("process object is closed");
}

MULTIPROCESSING_INLINE ProcessIdentity ProcessControl::identity(const ProcessState& parent) const {
    ProcessIdentity identity = child_identity(parent);
    identity.name = name_;
    identity.lineage = lineage_;
    identity.authkey = authkey_;
    identity.daemon = daemon_;
    identity.output = output_;
    identity.dies_with_parent |= daemon_;
    identity.may_have_children = !daemon_;
    return identity;
}

}  // namespace detail

MULTIPROCESSING_INLINE std::string CurrentProcess::text() const {
    const detail::ProcessIdentity& identity = detail::state().identity();
    const bool is_main = identity.parent_pid == 0;
    return std::string(is_main ? "<_MainProcess" : "<Process") + " name='" + name() +
           "' parent=" + (is_main ? "None" : std::to_string(identity.parent_pid)) +
           (identity.daemon ? " started daemon>" : " started>");
}

MULTIPROCESSING_INLINE bool ParentProcess::is_alive() const {
    return detail::heap().family().is_alive(id_);
}

MULTIPROCESSING_INLINE bool ParentProcess::join(Timeout timeout) const {
    const detail::Deadline deadline(timeout);
    // Opened first, looked up then: the descriptor cannot be a successor's if the parent is alive
    // afterwards.
    const detail::Descriptor pidfd = detail::open_pidfd(pid_);
    if (!pidfd || !is_alive()) return true;
    return detail::poll_readable(pidfd.get(), deadline);
}

MULTIPROCESSING_INLINE std::string ParentProcess::text() const {
    return "<ParentProcess name='" + name_ + "' pid=" + std::to_string(pid_) +
           (is_alive() ? " started>" : " stopped>");
}

MULTIPROCESSING_INLINE bool ActiveChild::join(Timeout timeout) const {
    if (!child_->wait(timeout)) return false;
    detail::state().remove(*child_);
    return true;
}

MULTIPROCESSING_INLINE std::string ActiveChild::text() const {
    return "<Process name='" + name() + "' pid=" + std::to_string(pid()) +
           detail::process_state_text(child_.get()) + (daemon() ? " daemon>" : ">");
}

MULTIPROCESSING_INLINE std::optional<ParentProcess> parent_process() {
    const detail::ProcessIdentity& identity = detail::state().identity();
    if (identity.parent_pid == 0) return std::nullopt;
    return ParentProcess(identity.parent_name, identity.parent_pid, identity.parent_id,
                         detail::state().parent_sentinel());
}

MULTIPROCESSING_INLINE std::vector<ActiveChild> active_children() {
    std::vector<ActiveChild> active;
    for (const auto& child : detail::state().children()) {
        if (child->is_alive()) {
            active.emplace_back(child);
        } else {
            detail::state().remove(*child);
        }
    }
    return active;
}

MULTIPROCESSING_INLINE int cpu_count() {
    return static_cast<int>((std::max)(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
}

MULTIPROCESSING_INLINE int process_cpu_count() { return detail::usable_cpu_count(); }

}  // namespace multiprocessing
