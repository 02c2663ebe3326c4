// multiprocessing/process/child.hpp
//
// A child as its parent sees it: waiting for it, signalling it, and how it ended. Floor 3.
// SPDX-License-Identifier: MIT
#pragma once

#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/pidfd.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// A started child. Shared by the Process object, the list of children and whoever waits.
class Child {
  public:
    /// @param pidfd    none when the child was gone already, SIGCHLD being ignored
    /// @param resource what must live as long as the child does, e.g. the message with its
    /// arguments
    /// @param reaper   the fork server, when it is that which collects the child and notes its
    /// ending
    Child(ProcessId id, pid_t pid, Descriptor pidfd, std::string name, bool daemon,
          std::shared_ptr<void> resource = nullptr, ProcessId reaper = {})
        : id_(id),
          creator_(self()),
          pid_(pid),
          pidfd_(std::make_shared<Descriptor>(std::move(pidfd))),
          name_(std::move(name)),
          daemon_(daemon),
          reaper_(reaper),
          resource_(std::move(resource)) {}

    /// One that ran in this process, and has ended.
    Child(ProcessId id, pid_t pid, std::string name, bool daemon, int exitcode)
        : id_(id),
          creator_(self()),
          pid_(pid),
          exitcode_(exitcode),
          name_(std::move(name)),
          daemon_(daemon) {}

    [[nodiscard]] ProcessId id() const noexcept { return id_; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    [[nodiscard]] bool daemon() const noexcept { return daemon_; }
    [[nodiscard]] bool is_mine() const { return creator_ == self(); }

    [[nodiscard]] std::string name() const {
        const std::lock_guard guard(mutex_);
        return name_;
    }
    void set_name(std::string name) {
        const std::lock_guard guard(mutex_);
        name_ = std::move(name);
    }

    /// Waits for the child's end and collects its status.
    /// @returns whether it has ended
    bool wait(const Deadline& deadline) {
        const auto pidfd = open_pidfd_of();
        if (!pidfd) return true;
        if (*pidfd && !poll_readable(pidfd->get(), deadline)) return false;
        collect();
        return true;
    }

    /// Returns whether it still runs; collects its status when it does not.
    bool is_alive() { return !wait(Timeout(0)); }

    /// Returns its exit code (-N: killed by signal N), or nothing while it runs.
    std::optional<int> exitcode() {
        if (is_alive()) return std::nullopt;
        const std::lock_guard guard(mutex_);
        return exitcode_;
    }

    /// Sends it a signal; nothing happens when it has ended.
    void signal(int number) {
        // Under the lock no other thread collects the status meanwhile; the pidfd could not hit a
        // successor with the same pid anyway.
        const std::lock_guard guard(mutex_);
        if (exitcode_ || !*pidfd_) return;
        signal_pidfd(pidfd_->get(), number);
        if (number == SIGKILL || last_signal_ != SIGKILL) last_signal_ = number;
    }

    /// Returns a descriptor that polls readable once the child has ended. It stays open for as long
    /// as this object lives.
    int sentinel() {
        const std::lock_guard guard(mutex_);
        if (!pidfd_ || !*pidfd_) {
            // Ended and collected before anyone asked: a descriptor that is readable already, at
            // its end of file, does as well.
            pidfd_ = std::make_shared<Descriptor>(make_pipe().read);
        }
        sentinel_wanted_ = true;
        return pidfd_->get();
    }

  private:
    /// Returns the pidfd, kept open for the caller while another thread may collect the status;
    /// nothing when that has been done.
    std::shared_ptr<Descriptor> open_pidfd_of() {
        const std::lock_guard guard(mutex_);
        return exitcode_ ? nullptr : pidfd_;
    }

    void collect() {
        std::shared_ptr<void> resource;
        {
            const std::lock_guard guard(mutex_);
            if (exitcode_) return;
            exitcode_ = take_status();
            if (!sentinel_wanted_) pidfd_.reset();
            resource = std::move(resource_);
        }
        note_end(id_);
    }

    /// Takes the child's status from the kernel, and with it the zombie away.
    [[nodiscard]] int take_status() const {
        if (reaper_) return status_from_reaper();
        if (!*pidfd_) return last_words();  // it was gone before its pidfd could be opened
        siginfo_t info{};
        const int result = retry_on_eintr([&] {
            return ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_->get()), &info,
                            WEXITED);
        });
        if (result == 0) return exitcode_from(info);
        if (errno != ECHILD) throw_system_error("waitid");
        return last_words();
    }

    /// Waits for the reaper's note, which comes right after the child's end. @pre it has ended
    [[nodiscard]] int status_from_reaper() const {
        Family& family = heap().family();
        const std::atomic<std::uint64_t>& word = family[id_].ending;
        // A reaper that is stopped must not hold up who only asks.
        const Deadline deadline(std::chrono::seconds(2));
        for (;;) {
            const std::uint64_t seen = word.load(std::memory_order_acquire);
            const Ending ending = family.ending(id_);
            if (ending.kind == Ending::ended) return ending.value;
            const timespec interval{0, 5'000'000};
            const bool timed_out =
                futex_wait(futex_half(word), static_cast<std::uint32_t>(seen), &interval);
            if (timed_out && (deadline.has_passed() || !family.is_alive(reaper_))) break;
        }
        const Ending ending = family.ending(id_);  // it may have been the reaper's last act
        return ending.kind == Ending::ended ? ending.value : last_words();
    }

    /// Somebody else took the status: SIGCHLD is ignored, the program calls wait() itself, or the
    /// fork server has been killed. Then the kernel may know it still; or what the child noted
    /// before it left has to do, or the signal that was sent to it last; 255 when there was none.
    [[nodiscard]] int last_words() const {
        const int noted = heap().family()[id_].exit_status.load();
        if (noted >= 0) return noted;
        if (*pidfd_) {
            if (const auto known = exitcode_of_collected(pidfd_->get())) return *known;
        }
        return last_signal_ == SIGKILL || last_signal_ == SIGTERM ? -last_signal_ : 255;
    }

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
    int last_signal_ = 0;
    std::shared_ptr<void> resource_;
};

/// Returns a pidfd for a child just started. Without one the child could not be watched, so when
/// there are no descriptors left it is ended. @throws std::system_error EMFILE, ENFILE
inline Descriptor open_pidfd_or_end(pid_t pid, ProcessId id) {
    try {
        return open_pidfd(pid);
    } catch (...) {
        ::kill(pid, SIGKILL);
        retry_on_eintr([&] { return ::waitpid(pid, nullptr, 0); });
        note_end(id);
        throw;
    }
}

}  // namespace multiprocessing::detail
