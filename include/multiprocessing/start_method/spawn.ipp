// multiprocessing/start_method/spawn.ipp
//
// How a child is spawned, and how it finds its target: see spawn.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/start_method/spawn.hpp"

#include <vector>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/heap/inheritance.hpp"
#include "multiprocessing/process/lifeline.hpp"
#include "multiprocessing/process/message.hpp"
#include "multiprocessing/process/program.hpp"
#include "multiprocessing/process/rerun.hpp"

namespace multiprocessing {
namespace detail {

/// The lifelines of a child that is about to be spawned. A child that ends with its parent does so
/// from its birth: it may take long until it reaches main, so its parent asks the kernel in its
/// place.
class SpawnLifelines {
  public:
    explicit SpawnLifelines(bool dies_with_parent) : fds_(lifelines_for_child(dies_with_parent)) {
        if (!dies_with_parent) return;
        for (int& fd : fds_) {
            Descriptor own = reopen_lifeline(fd);
            if (!own) return;  // without /proc the child sees to it, later
            fd = own.get();
            reopened_.add(std::move(own));
        }
    }

    [[nodiscard]] const std::vector<int>& to_pass() const noexcept { return fds_; }

    void arm(pid_t child) const noexcept {
        // It fails where a handler of SIGCHLD has collected the child already.
        for (const Descriptor& own : reopened_) (void)arm_lifeline(own.get(), child);
    }

  private:
    std::vector<int> fds_;
    Lifelines reopened_;
};

/// Starts a child by a call of `run`, which gets its inheritance and lifelines and returns its pid.
template <class Run>
std::shared_ptr<Child> spawn_child(ProcessIdentity identity, Role role,
                                   std::shared_ptr<void> message, Run run) {
    Family& family = heap().family();
    identity.id = reserve_process(identity.parent_id, identity.name);
    hold_if_collected(identity.id);
    pid_t pid = 0;
    try {
        const Offset place = heap().offset_of(message.get());
        const SpawnLifelines lifelines(identity.dies_with_parent);
        pid = run(Inheritance{role, place, identity.id}, lifelines.to_pass());
        lifelines.arm(pid);
    } catch (...) {
        family.release(identity.id);
        throw;
    }
    family.activate(identity.id, pid);
    Descriptor pidfd = open_pidfd_or_end(pid, identity.id);
    // A guest may be a program that never asks for what it was given. That is no mistake.
    if (role == Role::guest) family.note_arrival(identity.id);
    return std::make_shared<Child>(identity.id, pid, std::move(pidfd), identity.name,
                                   identity.daemon, std::move(message));
}

MULTIPROCESSING_INLINE std::shared_ptr<Child> spawn_guest(ProcessIdentity identity,
                                                          const ProgramCommand& program,
                                                          const std::string& last,
                                                          std::shared_ptr<void> message) {
    return spawn_child(std::move(identity), Role::guest, std::move(message),
                       [&](const Inheritance& inheritance, const std::vector<int>& lifelines) {
                           return run_program(program, inheritance, last, lifelines);
                       });
}

}  // namespace detail

namespace start_method {

MULTIPROCESSING_INLINE std::shared_ptr<detail::Child> spawn::start_without_body(
    detail::ProcessIdentity identity, const detail::Target* target) {
    detail::require_freeze_support();
    auto message = detail::make_start_message(identity, target);
    const std::string label = "--multiprocessing-spawn=" + identity.name;
    return detail::spawn_child(
        std::move(identity), detail::Role::child, std::move(message),
        [&](const detail::Inheritance& inheritance, const std::vector<int>& lifelines) {
            return detail::rerun_program(inheritance, label, lifelines);
        });
}

}  // namespace start_method

namespace detail {

MULTIPROCESSING_INLINE void run_spawned() noexcept {
    const Inheritance& inheritance = take_inheritance();
    Lifelines lifelines;
    for (unsigned i = 0; i < inheritance.lifelines; ++i) {
        lifelines.add(take_inherited(lifeline_descriptor + static_cast<int>(i)));
    }
    run_start_message(inheritance.message, inheritance.id, std::move(lifelines));
}

}  // namespace detail
}  // namespace multiprocessing
