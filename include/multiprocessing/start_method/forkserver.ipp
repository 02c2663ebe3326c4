// multiprocessing/start_method/forkserver.ipp
//
// How a child of the fork server is started: see forkserver.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/start_method/forkserver.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/pidfd.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/message.hpp"
#include "multiprocessing/process/rerun.hpp"
#include "multiprocessing/reduction.hpp"
#include "multiprocessing/start_method/fork_server/client.hpp"
#include "multiprocessing/start_method/fork_server/state.hpp"

namespace multiprocessing {
namespace detail {

/// Returns a pidfd. When there is none to be had, the child could not be watched, so this function
/// kills it.
MULTIPROCESSING_INLINE Descriptor open_pidfd_or_kill(pid_t pid, ProcessId id) {
    try {
        return open_pidfd(pid);
    } catch (...) {
        Family& family = heap().family();
        if (family.is_alive(id)) ::kill(pid, SIGKILL);
        while (family.is_alive(id)) ::usleep(1000);  // nothing of it may run when it is buried
        note_end(id);
        throw;
    }
}

}  // namespace detail

namespace start_method {

MULTIPROCESSING_INLINE std::shared_ptr<detail::Child> forkserver::start_without_body(
    detail::ProcessIdentity identity, const detail::Target* target) {
    detail::require_freeze_support();
    detail::flush_standard_streams();
    std::shared_ptr<void> message = detail::make_start_message(identity, target);
    const detail::Offset place = detail::heap().offset_of(message.get());
    const detail::ProcessId server = detail::ask_fork_server(identity, place, identity.id);
    detail::Family& family = detail::heap().family();
    const pid_t pid =
        detail::ProcessRecord::pid_of(family[identity.id].state.load(std::memory_order_acquire));
    // Opened first, looked up then: it cannot be a successor's if the child is alive afterwards. A
    // child that has ended already needs none.
    detail::Descriptor pidfd = detail::open_pidfd_or_kill(pid, identity.id);
    if (!family.is_alive(identity.id)) pidfd.reset();
    return std::make_shared<detail::Child>(identity.id, pid, std::move(pidfd), identity.name,
                                           identity.daemon, std::move(message), server);
}

}  // namespace start_method

namespace detail {

MULTIPROCESSING_INLINE void set_preload(const Target& target) {
    OutputArchive archive;
    target.save(archive);
    void* const message = make_payload(archive);
    // release: pairs with the acquire of the server. A message that was set before stays where it
    // is: a server that is just starting may be reading it.
    fork_server_state().preload.store(heap().offset_of(message), std::memory_order_release);
}

}  // namespace detail
}  // namespace multiprocessing
