// multiprocessing/start_method/serial.ipp
//
// How a target runs in the caller under another name: see serial.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/start_method/serial.hpp"

#include <unistd.h>

#include <string>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing {
namespace detail {

/// Makes this process answer to another identity while the object lives. For a program in one
/// thread.
class Masquerade {
  public:
    explicit Masquerade(ProcessIdentity identity) : state_(std::move(identity)) {
        before_ = process_state.exchange(&state_);
    }
    Masquerade(const Masquerade&) = delete;
    Masquerade& operator=(const Masquerade&) = delete;
    ~Masquerade() { process_state.store(before_); }

  private:
    ProcessState state_;
    ProcessState* before_;
};

}  // namespace detail

namespace start_method {

MULTIPROCESSING_INLINE std::shared_ptr<detail::Child> serial::start_body(
    detail::ProcessIdentity identity, detail::ChildBody body) {
    detail::refuse_output_files(identity.output, "a target that the caller runs");
    identity.id = detail::self();
    const std::string child_name = identity.name;
    const bool daemon = identity.daemon;
    const detail::Masquerade child(std::move(identity));
    int status = 0;
    try {
        body();
    } catch (const detail::ExitRequest& request) {
        status = request.status & 0xFF;
    } catch (...) {
        detail::report_exception(child_name);
        status = 1;
    }
    detail::end_children_proper();
    return std::make_shared<detail::Child>(detail::self(), ::getpid(), child_name, daemon, status);
}

}  // namespace start_method
}  // namespace multiprocessing
