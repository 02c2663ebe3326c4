// multiprocessing/process/lifeline.ipp
//
// How lifelines are made, inherited and armed: see lifeline.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/process/lifeline.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/signal_set.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/detail/thread.hpp"
#include "multiprocessing/process/fork_hooks.hpp"

namespace multiprocessing::detail {

/// A lifeline as its parent has it.
struct Lifeline {
    PipeEnds ends = make_pipe();
    std::uint64_t pipe = pipe_of(ends.read);
    Lifeline* before = nullptr;  // in the list of those that were replaced

    /// Returns the number that the pipe behind a descriptor has among all pipes; 0 if it is none.
    static std::uint64_t pipe_of(const Descriptor& end) noexcept {
        struct stat status {};
        if (::fstat(end.get(), &status) != 0 || !S_ISFIFO(status.st_mode)) return 0;
        return status.st_ino;
    }
    /// Returns whether both descriptors are still the pipe's. The program may have closed them, as
    /// daemons close all descriptors that they know nothing of.
    [[nodiscard]] bool is_open() const noexcept {
        return pipe_of(ends.read) == pipe && pipe_of(ends.write) == pipe;
    }
};

/// This process's pipe, for its children; null until it starts the first one.
inline constinit std::atomic<Lifeline*> own_lifeline{nullptr};

/// Those whose descriptors the program has closed. They stay as they are: another thread may be
/// looking at one, and the numbers may be other files' now, so they must not be closed.
inline constinit std::atomic<Lifeline*> replaced_lifelines{nullptr};

MULTIPROCESSING_INLINE void keep_replaced(Lifeline& line) noexcept {
    line.before = replaced_lifelines.load();
    while (!replaced_lifelines.compare_exchange_weak(line.before, &line)) {
    }
}

/// In a forked child: the reading end of its parent's pipe, until it is taken.
inline constinit std::atomic<int> inherited_lifeline{-1};

/// The reading ends by which this process, which ends with its parent, notices the parent's end.
/// Written once, before any code of the program runs in it. A forked child has a copy until it has
/// its own.
struct WatchedLifelines {
    std::size_t count = 0;
    int fds[Lifelines::most] = {};
};
inline constinit WatchedLifelines watched_lifelines;

/// Whether the group that this process leads ends with the parent, too.
inline constinit std::atomic<bool> group_ends_with_parent{false};

/// In the child of any fork: closes the writing end. Otherwise the death of the parent would go
/// unnoticed for as long as this process lives.
MULTIPROCESSING_INLINE void drop_inherited_lifeline() noexcept {
    Lifeline* const line = own_lifeline.exchange(nullptr);
    if (line == nullptr) return;
    inherited_lifeline.store(line->ends.read.release());
    delete line;
}

MULTIPROCESSING_INLINE Lifelines take_inherited_lifelines() noexcept {
    Lifelines lifelines;
    lifelines.add(Descriptor(inherited_lifeline.exchange(-1)));
    for (std::size_t i = 0; i < watched_lifelines.count; ++i) {
        lifelines.add(Descriptor(watched_lifelines.fds[i]));
    }
    watched_lifelines.count = 0;
    return lifelines;
}

MULTIPROCESSING_INLINE PipeEnds& lifeline() {
    Lifeline* known = own_lifeline.load(std::memory_order_acquire);
    if (known != nullptr && known->is_open()) return known->ends;
    // First: a child that another thread forks right after must know what to close.
    static constinit std::atomic<bool> registered{false};
    if (!registered.exchange(true)) ::pthread_atfork(nullptr, nullptr, drop_inherited_lifeline);
    auto fresh = std::make_unique<Lifeline>();
    if (!own_lifeline.compare_exchange_strong(known, fresh.get(), std::memory_order_acq_rel)) {
        return known->ends;  // another thread was faster; ours closes here
    }
    if (known != nullptr) keep_replaced(*known);
    return fresh.release()->ends;
}

MULTIPROCESSING_INLINE std::vector<int> lifelines_for_child(bool dies_with_parent) {
    std::vector<int> fds{lifeline().read.get()};
    if (dies_with_parent) {
        const std::size_t count = (std::min)(watched_lifelines.count, Lifelines::most - 1);
        fds.insert(fds.end(), watched_lifelines.fds, watched_lifelines.fds + count);
    }
    return fds;
}

MULTIPROCESSING_INLINE Descriptor reopen_lifeline(int read) {
    char path[32] = "/proc/self/fd/";
    *std::to_chars(path + std::strlen(path), std::end(path), read).ptr = '\0';
    Descriptor own = try_to_open([&] {
        return retry_on_eintr([&] { return ::open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); });
    });
    if (!own && (errno == EMFILE || errno == ENFILE)) throw_system_error("open");
    return out_of_the_way(std::move(own));
}

MULTIPROCESSING_INLINE bool arm_lifeline(int own, pid_t pid) noexcept {
    return ::fcntl(own, F_SETOWN, pid) == 0 && ::fcntl(own, F_SETSIG, SIGKILL) == 0 &&
           ::fcntl(own, F_SETFL, O_ASYNC | O_NONBLOCK) == 0;
}

/// In a child, where there is no /proc: a thread kills it when a holder of a writing end ends.
/// @throws std::system_error EAGAIN
[[gnu::cold, gnu::noinline]] MULTIPROCESSING_INLINE void die_with_parent_by_thread(
    Lifelines lifelines) {
    watched_lifelines.count = 0;
    for (const Descriptor& end : lifelines) {
        watched_lifelines.fds[watched_lifelines.count++] = end.get();
    }
    const SignalBlock block;  // for the thread
    start_thread([kept = std::move(lifelines), counted = OwnThread()] {
        std::vector<pollfd> entries;
        for (const Descriptor& end : kept) entries.push_back({end.get(), POLLIN, 0});
        while (::poll(entries.data(), entries.size(), -1) <= 0) {
        }
        ::kill(group_ends_with_parent.load() ? 0 : ::getpid(), SIGKILL);
    }).detach();
}

MULTIPROCESSING_INLINE void die_with_parent(Lifelines lifelines) {
    WatchedLifelines watched;
    for (const Descriptor& end : lifelines) {
        Descriptor own = reopen_lifeline(end.get());
        if (!own) return die_with_parent_by_thread(std::move(lifelines));
        if (!arm_lifeline(own.get(), ::getpid())) throw_system_error("fcntl");
        // The holder may have ended before O_ASYNC was set.
        pollfd entry{own.get(), POLLIN, 0};
        if (::poll(&entry, 1, 0) > 0) ::raise(SIGKILL);
        watched.fds[watched.count++] = own.release();  // open for the process's life
    }
    watched_lifelines = watched;
}

MULTIPROCESSING_INLINE void lead_group_that_dies_with_parent() noexcept {
    if (::setpgid(0, 0) != 0 && ::getpgrp() != ::getpid()) return;
    group_ends_with_parent.store(true);
    for (std::size_t i = 0; i < watched_lifelines.count; ++i) {
        ::fcntl(watched_lifelines.fds[i], F_SETOWN, -::getpid());
    }
}

}  // namespace multiprocessing::detail
