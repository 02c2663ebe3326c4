// multiprocessing/process/state.ipp
//
// How the state is made, changed and renewed: see state.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process/state.hpp"

#include <pthread.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/pidfd.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/logging/outlets.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE int ParentSentinel::get() {
    int known = fd_.load();
    if (known >= 0) return known;
    Descriptor opened = open();
    // Where another thread was faster, it is that one's which all have got.
    return fd_.compare_exchange_strong(known, opened.get()) ? opened.release() : known;
}

MULTIPROCESSING_INLINE Descriptor ParentSentinel::open() const {
    // Opened first, looked up then: the descriptor cannot be a successor's if the parent is alive
    // afterwards.
    Descriptor pidfd = open_pidfd(pid_);
    if (pidfd && heap().family().is_alive(id_)) return pidfd;
    // It has ended. A descriptor at its end of file, which is readable already, does as well.
    return make_pipe().read;
}

MULTIPROCESSING_INLINE std::string ProcessState::name() const {
    const std::lock_guard guard(mutex_);
    return identity_.name;
}

MULTIPROCESSING_INLINE void ProcessState::set_name(std::string name) {
    const std::lock_guard guard(mutex_);
    identity_.name = std::move(name);
}

MULTIPROCESSING_INLINE std::string ProcessState::authkey() const {
    const std::lock_guard guard(mutex_);
    return identity_.authkey;
}

MULTIPROCESSING_INLINE void ProcessState::set_authkey(std::string authkey) {
    const std::lock_guard guard(mutex_);
    identity_.authkey = std::move(authkey);
}

MULTIPROCESSING_INLINE std::shared_ptr<ParentSentinel> ProcessState::parent_sentinel() {
    const std::lock_guard guard(mutex_);
    if (!parent_sentinel_) {
        parent_sentinel_ =
            std::make_shared<ParentSentinel>(identity_.parent_pid, identity_.parent_id);
    }
    return parent_sentinel_;
}

MULTIPROCESSING_INLINE std::string ProcessState::next_lineage() {
    const unsigned number = children_made_.fetch_add(1) + 1;
    return joined({identity_.lineage, identity_.lineage.empty() ? "" : ":", number});
}

MULTIPROCESSING_INLINE void ProcessState::add(std::shared_ptr<Child> child) {
    const std::lock_guard guard(mutex_);
    children_.push_back(std::move(child));
}

MULTIPROCESSING_INLINE std::vector<std::shared_ptr<Child>> ProcessState::children() {
    const std::lock_guard guard(mutex_);
    return {children_.begin(), children_.end()};
}

MULTIPROCESSING_INLINE void ProcessState::remove(const Child& child) {
    const std::lock_guard guard(mutex_);
    const auto known = std::ranges::find(
        children_, &child, [](const std::shared_ptr<Child>& each) { return each.get(); });
    if (known != children_.end()) children_.erase(known);
}

MULTIPROCESSING_INLINE void ProcessState::reap() {
    siginfo_t info{};
    // Usually there is none, and one call tells. WNOWAIT: the one it finds may be a process that
    // the program started by other means, and is not ours to collect.
    const int result = ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
    if (result == 0 && info.si_pid == 0) return;
    for (const auto& child : children()) {
        if (!child->is_alive()) remove(*child);
    }
}

/// Returns 32 random bytes. @par Source CPython Lib/multiprocessing/process.py: os.urandom(32)
MULTIPROCESSING_INLINE std::string random_key() {
    std::string key(32, '\0');
    checked(::getrandom(key.data(), key.size(), 0), "getrandom");  // ≤ 256 bytes come whole
    return key;
}

MULTIPROCESSING_INLINE std::string name_for_log() {
    const ProcessState* const known = process_state.load(std::memory_order_acquire);
    return known != nullptr ? known->name() : "MainProcess";
}

// These three run around every fork, the program's own included. No other thread is in the middle
// of a change of the state, so the child can take over the name. The children are not its own. The
// old state stays as it is, locked.
MULTIPROCESSING_INLINE void lock_state_before_fork() noexcept {
    if (ProcessState* known = process_state.load()) known->mutex().lock();
}
MULTIPROCESSING_INLINE void unlock_state_in_parent() noexcept {
    if (ProcessState* known = process_state.load()) known->mutex().unlock();
}
MULTIPROCESSING_INLINE void renew_state_in_child() noexcept {
    const ProcessState* const old = process_state.load();
    // A child of the library's own becomes what its parent decided instead, see `become`.
    if (old == nullptr || forking_a_child) return;
    process_state.store(new ProcessState(old->identity(), old));
}

MULTIPROCESSING_INLINE ProcessState& make_state() {
    ProcessState* known = nullptr;
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

MULTIPROCESSING_INLINE ProcessIdentity child_identity(const ProcessState& parent) {
    ProcessIdentity identity;
    identity.parent_name = parent.name();
    identity.parent_pid = ::getpid();
    identity.parent_id = self();
    // What runs below a pool's worker ends with the pool, however the worker ends.
    identity.dies_with_parent = parent.identity().dies_with_parent;
    return identity;
}

MULTIPROCESSING_INLINE bool default_daemon() {
    const ProcessIdentity& identity = state().identity();
    return identity.daemon && !identity.is_pool_worker;
}

MULTIPROCESSING_INLINE void become(ProcessIdentity identity) {
    local_process.id.store(Family::pack(identity.id));
    heap().family().activate(identity.id, ::getpid());
    // What a forked child inherited stays behind, unfreed: see renew_state_in_child.
    process_state.store(new ProcessState(std::move(identity), process_state.load()));
    log_process_name.store(name_for_log);
}

}  // namespace multiprocessing::detail
