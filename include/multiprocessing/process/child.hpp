// multiprocessing/process/child.hpp
//
// A child as its parent sees it: waiting for it, signalling it, and how it ended. Floor 3.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/heap/burial.hpp"
#include "multiprocessing/heap/family.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// A started child. The Process object, the list of children and everyone who waits share it.
class Child {
  public:
    /// @param pidfd    none when the child was gone already, because SIGCHLD is ignored
    /// @param resource what must live as long as the child does, e.g. the message with its
    ///                 arguments
    /// @param reaper   the fork server, where that collects the child and notes how it ended
    Child(ProcessId id, pid_t pid, Descriptor pidfd, std::string name, bool daemon,
          std::shared_ptr<void> resource = nullptr, ProcessId reaper = {});

    /// Makes one that ran in this process, and has ended.
    Child(ProcessId id, pid_t pid, std::string name, bool daemon, int exitcode);

    [[nodiscard]] ProcessId id() const noexcept { return id_; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    [[nodiscard]] bool daemon() const noexcept { return daemon_; }
    [[nodiscard]] bool is_mine() const { return creator_ == self(); }

    [[nodiscard]] std::string name() const;
    void set_name(std::string name);

    /// Waits for the child's end and collects its status.
    /// @returns whether it has ended
    bool wait(const Deadline& deadline);

    /// Returns whether it still runs. If not, its status is collected.
    bool is_alive() { return !wait(Timeout(0)); }

    /// Returns its exit code (-N: killed by signal N), or nothing while it runs.
    std::optional<int> exitcode();

    /// Sends it a signal. Does nothing when it has ended.
    void signal(int number);

    /// Returns a descriptor that polls readable once the child has ended; it stays open until the
    /// child is collected. Returns -1 when the child has ended already.
    int end_descriptor();

    /// Returns a descriptor that polls readable once the child has ended. It stays open for as long
    /// as this object lives.
    int sentinel();

  private:
    std::shared_ptr<Descriptor> open_pidfd_of();
    bool collect();
    [[gnu::cold]] void report_missing_child() noexcept;
    void reopen_pidfd();
    [[nodiscard]] int take_status() const;
    [[nodiscard]] int status_from_reaper() const;
    [[nodiscard]] int last_words() const;

    const ProcessId id_;
    const ProcessId creator_;
    const pid_t pid_;
    mutable std::mutex mutex_;
    std::shared_ptr<Descriptor> pidfd_;
    bool sentinel_wanted_ = false;
    std::optional<int> exitcode_;
    std::string name_;
    const bool daemon_;
    const ProcessId reaper_;
    const bool is_spawned_ = false;  // by running the program anew
    int last_signal_ = 0;
    std::shared_ptr<void> resource_;
};

/// Has a child that is about to be started wait until open_pidfd_or_end. It does so only where the
/// program ignores SIGCHLD, or has a handler that collects all children. There, how a child ended
/// that crashes at once would otherwise be lost: only the descriptor tells, and it would come too
/// late.
void hold_if_collected(ProcessId id) noexcept;

/// Returns a pidfd for a child that was just started, and lets the child go if it waits for that.
/// Without a pidfd the child could not be watched, so when there are no descriptors left this
/// function ends it.
/// @throws std::system_error EMFILE, ENFILE
Descriptor open_pidfd_or_end(pid_t pid, ProcessId id);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/process/child.ipp"
#endif
