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

}  // namespace detail

namespace start_method {

MULTIPROCESSING_INLINE std::shared_ptr<detail::Child> spawn::start_without_body(
    detail::ProcessIdentity identity, const detail::Target* target) {
    detail::require_freeze_support();
    detail::Family& family = detail::heap().family();
    identity.id = detail::reserve_process(identity.parent_id, identity.name);
    detail::hold_if_collected(identity.id);
    pid_t pid = 0;
    std::shared_ptr<void> message;
    try {
        message = detail::make_start_message(identity, target);
        const detail::Offset place = detail::heap().offset_of(message.get());
        const detail::SpawnLifelines lifelines(identity.dies_with_parent);
        pid =
            detail::rerun_program({detail::Role::child, place, identity.id},
                                  "--multiprocessing-spawn=" + identity.name, lifelines.to_pass());
        lifelines.arm(pid);
    } catch (...) {
        family.release(identity.id);
        throw;
    }
    family.activate(identity.id, pid);
    return std::make_shared<detail::Child>(identity.id, pid,
                                           detail::open_pidfd_or_end(pid, identity.id),
                                           identity.name, identity.daemon, std::move(message));
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
