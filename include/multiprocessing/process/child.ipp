// multiprocessing/process/child.ipp
//
// How a child is waited for and collected: see child.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process/child.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <utility>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/pidfd.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/logging/emit.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE Child::Child(ProcessId id, pid_t pid, Descriptor pidfd, std::string name,
                                    bool daemon, std::shared_ptr<void> resource, ProcessId reaper)
    : id_(id),
      creator_(self()),
      pid_(pid),
      pidfd_(std::make_shared<Descriptor>(std::move(pidfd))),
      name_(std::move(name)),
      daemon_(daemon),
      reaper_(reaper),
      is_spawned_(resource != nullptr && !reaper),
      resource_(std::move(resource)) {}

MULTIPROCESSING_INLINE Child::Child(ProcessId id, pid_t pid, std::string name, bool daemon,
                                    int exitcode)
    : id_(id),
      creator_(self()),
      pid_(pid),
      exitcode_(exitcode),
      name_(std::move(name)),
      daemon_(daemon) {}

MULTIPROCESSING_INLINE std::string Child::name() const {
    const std::lock_guard guard(mutex_);
    return name_;
}

MULTIPROCESSING_INLINE void Child::set_name(std::string name) {
    const std::lock_guard guard(mutex_);
    name_ = std::move(name);
}

MULTIPROCESSING_INLINE bool Child::wait(const Deadline& deadline) {
    for (;;) {
        const auto pidfd = open_pidfd_of();
        if (!pidfd) return true;
        if (*pidfd && !poll_readable(pidfd->get(), deadline)) return false;
        if (collect()) return true;
    }
}

MULTIPROCESSING_INLINE std::optional<int> Child::exitcode() {
    if (is_alive()) return std::nullopt;
    const std::lock_guard guard(mutex_);
    return exitcode_;
}

MULTIPROCESSING_INLINE void Child::signal(int number) {
    // Under the lock, so that no other thread collects the status meanwhile. The pidfd could not
    // hit a successor with the same pid anyway.
    const std::lock_guard guard(mutex_);
    if (exitcode_) return;
    if (*pidfd_ && !is_pidfd(pidfd_->get())) reopen_pidfd();
    if (!*pidfd_) return;
    signal_pidfd(pidfd_->get(), number);
    if (number == SIGKILL || last_signal_ != SIGKILL) last_signal_ = number;
}

MULTIPROCESSING_INLINE int Child::end_descriptor() {
    const std::lock_guard guard(mutex_);
    return pidfd_ ? pidfd_->get() : -1;
}

MULTIPROCESSING_INLINE int Child::sentinel() {
    const std::lock_guard guard(mutex_);
    if (!pidfd_ || !*pidfd_) {
        // The child ended and was collected before anyone asked. A descriptor at its end of file,
        // which is readable already, does as well.
        pidfd_ = std::make_shared<Descriptor>(make_pipe().read);
    }
    sentinel_wanted_ = true;
    return pidfd_->get();
}

/// Returns the pidfd, which stays open for the caller while another thread may collect the status;
/// nothing when that has been done.
MULTIPROCESSING_INLINE std::shared_ptr<Descriptor> Child::open_pidfd_of() {
    const std::lock_guard guard(mutex_);
    return exitcode_ ? nullptr : pidfd_;
}

/// @returns false when the child may live: its pidfd was no pidfd any more, and is a new one now
MULTIPROCESSING_INLINE bool Child::collect() {
    std::shared_ptr<void> resource;
    bool never_came = false;
    {
        const std::lock_guard guard(mutex_);
        if (exitcode_) return true;
        if (*pidfd_ && !is_pidfd(pidfd_->get())) {
            reopen_pidfd();
            if (*pidfd_) return false;
        }
        exitcode_ = take_status();
        never_came = is_spawned_ && *exitcode_ >= 0 && !heap().family().has_arrived(id_);
        if (!sentinel_wanted_) pidfd_.reset();
        resource = std::move(resource_);
    }
    note_end(id_);
    if (never_came) report_missing_child();
    return true;
}

/// Reports the mistake that every newcomer to spawn makes once.
MULTIPROCESSING_INLINE void Child::report_missing_child() noexcept {
    report_error("a spawned child left the program's main without running its target",
                 "make multiprocessing::freeze_support() the first line of main, before it "
                 "looks at its arguments");
}

/// Opens the pidfd anew. The program has closed it, as daemons close all descriptors that they know
/// nothing of. The number is not ours any more, so it stays as it is.
MULTIPROCESSING_INLINE void Child::reopen_pidfd() {
    (void)pidfd_->release();
    // Nobody else has the pid until this process has collected the child. Where the fork server is
    // to do that, the family's table tells whether it is still the child's.
    pidfd_ = std::make_shared<Descriptor>(open_pidfd(pid_));
    if (reaper_ && !heap().family().is_alive(id_)) pidfd_->reset();
}

/// Takes the child's status from the kernel, and so removes the zombie.
MULTIPROCESSING_INLINE int Child::take_status() const {
    if (reaper_) {
        // What it noted as its last act holds; the reaper would say the same, a wake-up later.
        const int noted = heap().family()[id_].exit_status.load();
        return noted >= 0 ? noted : status_from_reaper();
    }
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
MULTIPROCESSING_INLINE int Child::status_from_reaper() const {
    Family& family = heap().family();
    const std::atomic<std::uint64_t>& word = family[id_].ending;
    // A reaper that hangs must not hold up a caller that only asks.
    const Deadline deadline(std::chrono::seconds(2));
    for (;;) {
        const std::uint64_t seen = word.load(std::memory_order_acquire);
        const Ending ending = family.ending(id_);
        if (ending.kind == Ending::ended) return ending.value;
        const timespec interval{0, 5'000'000};
        const bool timed_out =
            futex_wait(futex_half(word), static_cast<std::uint32_t>(seen), &interval);
        if (timed_out && (deadline.has_passed() || !family.may_run(reaper_))) break;
    }
    const Ending ending = family.ending(id_);  // it may have been the reaper's last act
    return ending.kind == Ending::ended ? ending.value : last_words();
}

/// Returns the best guess where somebody else took the status: SIGCHLD is ignored, the program
/// calls wait() itself, or the fork server has been killed. The kernel may still know it.
/// Otherwise it is what the child noted before it left, or the signal that was sent to it last; 255
/// when there was none.
MULTIPROCESSING_INLINE int Child::last_words() const {
    const int noted = heap().family()[id_].exit_status.load();
    if (noted >= 0) return noted;
    if (*pidfd_) {
        if (const auto known = exitcode_of_zombie(pid_, pidfd_->get())) return *known;
        if (const auto known = exitcode_of_collected(pidfd_->get())) return *known;
    }
    return last_signal_ == SIGKILL || last_signal_ == SIGTERM ? -last_signal_ : 255;
}

MULTIPROCESSING_INLINE void hold_if_collected(ProcessId id) noexcept {
    struct sigaction action {};
    const bool is_known = ::sigaction(SIGCHLD, nullptr, &action) == 0;
    const bool is_standard =
        (action.sa_flags & (SA_SIGINFO | SA_NOCLDWAIT)) == 0 && action.sa_handler == SIG_DFL;
    if (is_known && !is_standard) heap().family().hold(id);
}

MULTIPROCESSING_INLINE Descriptor open_pidfd_or_end(pid_t pid, ProcessId id) {
    try {
        Descriptor pidfd = open_pidfd(pid);
        heap().family().let_go(id);
        return pidfd;
    } catch (...) {
        ::kill(pid, SIGKILL);
        retry_on_eintr([&] { return ::waitpid(pid, nullptr, 0); });
        note_end(id);
        throw;
    }
}

}  // namespace multiprocessing::detail
