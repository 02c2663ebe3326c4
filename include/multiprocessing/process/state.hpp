// multiprocessing/process/state.hpp
//
// What a process knows of itself: its name and key, its parent, its children. A forked child gets a
// new one, so it does not matter what threads of its parent were in the middle of. Floor 3.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/heap/family.hpp"
#include "multiprocessing/process/child.hpp"
#include "multiprocessing/process/output_files.hpp"

namespace multiprocessing::detail {

/// Who a process is. Its parent decides that, and the start method carries it to the child.
struct ProcessIdentity {
    std::string name = "MainProcess";
    // "" for the main process, "1" for its first child, "1:2" for a grandchild
    std::string lineage;
    std::string authkey;
    bool daemon = false;            // ends with its parent
    bool dies_with_parent = false;  // also when the parent is killed: daemons, all below a pool
    bool may_have_children = true;
    bool is_pool_worker = false;
    OutputFiles output;  // where it prints to
    std::string parent_name;
    pid_t parent_pid = 0;  // 0: the first process of the family
    ProcessId parent_id;
    ProcessId id;
};

/// A descriptor by which a process watches its parent. All objects that stand for this parent share
/// it.
class ParentSentinel {
  public:
    ParentSentinel(pid_t pid, ProcessId id) noexcept : pid_(pid), id_(id) {}
    ParentSentinel(const ParentSentinel&) = delete;
    ParentSentinel& operator=(const ParentSentinel&) = delete;
    ~ParentSentinel() { const Descriptor closed_here(fd_.load()); }

    /// Returns a descriptor that polls readable once the parent has ended. The first call opens it,
    /// and it stays open for as long as this object lives.
    /// @throws std::system_error EMFILE, ENFILE
    int get();

  private:
    [[nodiscard]] Descriptor open() const;

    const pid_t pid_;
    const ProcessId id_;
    // No mutex: a forked child may have a copy of the object, and not the thread that holds it.
    std::atomic<int> fd_{-1};
};

/// This process's identity and children.
class ProcessState {
  public:
    /// @param identity   who this process is
    /// @param inherited  the state of the process that this one is a fork of, if any: it stays
    explicit ProcessState(ProcessIdentity identity, const ProcessState* inherited = nullptr)
        : identity_(std::move(identity)), inherited_(inherited) {}

    /// Returns who it is. Only the name and the key ever change; the rest needs no lock.
    [[nodiscard]] const ProcessIdentity& identity() const noexcept { return identity_; }
    [[nodiscard]] std::mutex& mutex() const noexcept { return mutex_; }

    [[nodiscard]] std::string name() const;
    void set_name(std::string name);
    [[nodiscard]] std::string authkey() const;
    void set_authkey(std::string authkey);

    /// Returns what watches the parent: the same for as long as this process lives.
    /// @pre it has a parent
    std::shared_ptr<ParentSentinel> parent_sentinel();

    /// Returns the lineage for the next child: Python counts Process objects, not starts.
    std::string next_lineage();

    void add(std::shared_ptr<Child> child);

    /// Returns the children that were not yet seen to have ended.
    std::vector<std::shared_ptr<Child>> children();

    /// Forgets a child whose status was collected.
    void remove(const Child& child);

    /// Collects the children that have ended, so that no zombies pile up.
    void reap();

  private:
    mutable std::mutex mutex_;
    ProcessIdentity identity_;
    [[maybe_unused]] const ProcessState* const inherited_;  // so that leak checkers find it
    std::atomic<unsigned> children_made_{0};
    std::deque<std::shared_ptr<Child>> children_;  // mostly joined in the order of their starts
    std::shared_ptr<ParentSentinel> parent_sentinel_;
};

/// This process's state; null until the first call of state().
inline constinit std::atomic<ProcessState*> process_state{nullptr};

/// Tells logging, on a floor below, the name to put before its lines.
std::string name_for_log();

/// Whether this thread forks on behalf of the library.
inline constinit thread_local bool forking_a_child = false;

/// Makes the state of a process that was not started by this library.
[[gnu::cold]] ProcessState& make_state();

/// Returns what this process knows of itself. A process that was not started by this library is the
/// MainProcess.
inline ProcessState& state() {
    ProcessState* const known = process_state.load(std::memory_order_acquire);
    return known != nullptr ? *known : make_state();
}

/// Returns what a child of this process is to be, before its own name and options are put in.
ProcessIdentity child_identity(const ProcessState& parent);

/// Returns whether a new process is a daemon unless it is told otherwise: as the process that makes
/// it. A pool's worker is one, but its children are not: they would not be allowed children.
bool default_daemon();

/// Makes this process, which the library has just started, the one that `identity` says.
void become(ProcessIdentity identity);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/process/state.ipp"
#endif
