// multiprocessing/process/state.hpp
//
// What a process knows of itself: its name and key, its parent, its children. A forked child gets a
// new one, so that nothing its parent's threads were in the middle of matters to it. Floor 3.
// SPDX-License-Identifier: MIT
#pragma once

#include <pthread.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/logging/outlets.hpp"
#include "multiprocessing/process/child.hpp"

namespace multiprocessing::detail {

/// Who a process is; decided by its parent and carried to it by the start method.
struct ProcessIdentity {
    std::string name = "MainProcess";
    std::string
        lineage;  // "" for the main process, "1" for its first child, "1:2" for a grandchild
    std::string authkey;
    bool daemon = false;            // ends with its parent
    bool dies_with_parent = false;  // also when the parent is killed: daemons, all below a pool
    bool may_have_children = true;
    bool is_pool_worker = false;
    std::string parent_name;
    pid_t parent_pid = 0;  // 0: the first process of the family
    ProcessId parent_id;
    ProcessId id;
};

/// This process's identity and children.
class ProcessState {
  public:
    explicit ProcessState(ProcessIdentity identity) : identity_(std::move(identity)) {}

    /// Only the name and the key ever change; the rest needs no lock.
    [[nodiscard]] const ProcessIdentity& identity() const noexcept { return identity_; }
    [[nodiscard]] std::mutex& mutex() const noexcept { return mutex_; }

    [[nodiscard]] std::string name() const {
        const std::lock_guard guard(mutex_);
        return identity_.name;
    }
    void set_name(std::string name) {
        const std::lock_guard guard(mutex_);
        identity_.name = std::move(name);
    }
    [[nodiscard]] std::string authkey() const {
        const std::lock_guard guard(mutex_);
        return identity_.authkey;
    }
    void set_authkey(std::string authkey) {
        const std::lock_guard guard(mutex_);
        identity_.authkey = std::move(authkey);
    }

    /// Returns the lineage for the next child: Python counts Process objects, not starts.
    std::string next_lineage() {
        const unsigned number = children_made_.fetch_add(1) + 1;
        return identity_.lineage + (identity_.lineage.empty() ? "" : ":") + std::to_string(number);
    }

    void add(std::shared_ptr<Child> child) {
        const std::lock_guard guard(mutex_);
        children_.push_back(std::move(child));
    }

    /// Returns the children that were not yet seen to have ended.
    std::vector<std::shared_ptr<Child>> children() {
        const std::lock_guard guard(mutex_);
        return children_;
    }

    /// Forgets a child whose status was collected.
    void remove(const Child& child) {
        const std::lock_guard guard(mutex_);
        std::erase_if(children_, [&](const auto& known) { return known.get() == &child; });
    }

    /// Collects the children that have ended, so that no zombies pile up.
    void reap() {
        siginfo_t info{};
        // One call tells in the usual case that there is none. WNOWAIT: the one it finds may be a
        // process that the program started by other means, and is not ours to collect.
        const int result = ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
        if (result == 0 && info.si_pid == 0) return;
        for (const auto& child : children()) {
            if (!child->is_alive()) remove(*child);
        }
    }

  private:
    mutable std::mutex mutex_;
    ProcessIdentity identity_;
    std::atomic<unsigned> children_made_{0};
    std::vector<std::shared_ptr<Child>> children_;
};

inline constinit std::atomic<ProcessState*> process_state{nullptr};

/// Returns 32 random bytes. @par Source CPython Lib/multiprocessing/process.py: os.urandom(32)
inline std::string random_key() {
    std::string key(32, '\0');
    check(::getrandom(key.data(), key.size(), 0), "getrandom");  // ≤ 256 bytes come whole
    return key;
}

/// Tells logging, on a floor below, the name to put before its lines.
inline std::string name_for_log() {
    const ProcessState* const known = process_state.load(std::memory_order_acquire);
    return known != nullptr ? known->name() : "MainProcess";
}

/// Whether this thread forks on behalf of the library.
inline constinit thread_local bool forking_a_child = false;

// Around every fork, the program's own included: no other thread is in the middle of a change of
// the state, so the child can take over the name. The children are not its own; the old state stays
// as it is, locked.
inline void lock_state_before_fork() noexcept {
    if (ProcessState* known = process_state.load()) known->mutex().lock();
}
inline void unlock_state_in_parent() noexcept {
    if (ProcessState* known = process_state.load()) known->mutex().unlock();
}
inline void renew_state_in_child() noexcept {
    const ProcessState* const old = process_state.load();
    // A child of the library's own becomes what its parent decided instead, see `become`.
    if (old != nullptr && !forking_a_child) process_state.store(new ProcessState(old->identity()));
}

/// Returns what this process knows of itself; a process that was not started by this library is the
/// MainProcess.
inline ProcessState& state() {
    ProcessState* known = process_state.load(std::memory_order_acquire);
    if (known != nullptr) return *known;
    ProcessIdentity identity;
    identity.authkey = random_key();
    auto fresh = std::make_unique<ProcessState>(std::move(identity));
    if (!process_state.compare_exchange_strong(known, fresh.get(), std::memory_order_acq_rel)) {
        return *known;  // another thread was faster
    }
    ::pthread_atfork(lock_state_before_fork, unlock_state_in_parent, renew_state_in_child);
    log_process_name.store(name_for_log);
    return *fresh.release();
}

/// Returns what a child of this process is to be, before its own name and options are put in.
inline ProcessIdentity child_identity(const ProcessState& parent) {
    ProcessIdentity identity;
    identity.parent_name = parent.name();
    identity.parent_pid = ::getpid();
    identity.parent_id = self();
    // What runs below a pool's worker ends with the pool, however the worker ends.
    identity.dies_with_parent = parent.identity().dies_with_parent;
    return identity;
}

/// Returns whether a new process is a daemon unless it is told otherwise: as the process that makes
/// it. A pool's worker is one, but its children are not: they would not be allowed children.
inline bool default_daemon() {
    const ProcessIdentity& identity = state().identity();
    return identity.daemon && !identity.is_pool_worker;
}

/// Makes this process, which the library has just started, the one that `identity` says.
inline void become(ProcessIdentity identity) {
    local_process.id.store(Family::pack(identity.id));
    heap().family().activate(identity.id, ::getpid());
    // What a forked child inherited stays behind, unfreed: see renew_state_in_child.
    process_state.store(new ProcessState(std::move(identity)));
    log_process_name.store(name_for_log);
}

}  // namespace multiprocessing::detail
