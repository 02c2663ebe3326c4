// multiprocessing/process/lifeline.hpp
//
// A pipe by which a child learns that its parent has ended, however it ended. The parent alone
// holds the writing end, so the kernel closes it with the parent; the child has asked for SIGKILL
// when that happens. No thread watches, and unlike with prctl(PR_SET_PDEATHSIG) it is the parent
// process that counts, not the thread that started the child. Floor 3. SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <memory>

#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// This process's pipe, for its children; null until the first child is started.
inline constinit std::atomic<PipeEnds*> own_lifeline{nullptr};

/// In a forked child: the reading end of its parent's pipe, until it is taken.
inline constinit std::atomic<int> inherited_lifeline{-1};

/// In the child of any fork: closes the writing end, or the death of the parent would go unnoticed
/// for as long as this process lives.
inline void drop_inherited_lifeline() noexcept {
    PipeEnds* const ends = own_lifeline.exchange(nullptr);
    if (ends == nullptr) return;
    inherited_lifeline.store(ends->read.release());
    delete ends;
}

/// Returns the reading end of the parent's pipe. Once, in a forked child.
inline Descriptor take_inherited_lifeline() noexcept {
    return Descriptor(inherited_lifeline.exchange(-1));
}

/// Returns this process's lifeline. @throws std::system_error EMFILE, ENFILE
inline PipeEnds& lifeline() {
    PipeEnds* known = own_lifeline.load(std::memory_order_acquire);
    if (known != nullptr) return *known;
    auto fresh = std::make_unique<PipeEnds>(make_pipe());
    if (!own_lifeline.compare_exchange_strong(known, fresh.get(), std::memory_order_acq_rel)) {
        return *known;  // another thread was faster; ours closes here
    }
    static constinit std::atomic<bool> registered{false};
    if (!registered.exchange(true)) ::pthread_atfork(nullptr, nullptr, drop_inherited_lifeline);
    return *fresh.release();
}

/// In a child: arranges that the kernel kills it when the holder of the pipe's writing end is gone.
/// @param read the inherited reading end; taken over
inline void die_with_parent(Descriptor read) {
    // The owner of a signal belongs to the open file, which all children have inherited from the
    // parent: each needs one of its own, and opening the pipe anew through /proc gives it.
    char path[32];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", read.get());
    const int own = retry_on_eintr([&] { return ::open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); });
    if (own < 0 || ::fcntl(own, F_SETOWN, ::getpid()) != 0 ||
        ::fcntl(own, F_SETSIG, SIGKILL) != 0 || ::fcntl(own, F_SETFL, O_ASYNC | O_NONBLOCK) != 0) {
        throw_system_error("fcntl");
    }
    // The parent may have ended before O_ASYNC was set. `own` stays open for the process's life.
    pollfd entry{own, POLLIN, 0};
    if (::poll(&entry, 1, 0) > 0) ::raise(SIGKILL);
}

}  // namespace multiprocessing::detail
