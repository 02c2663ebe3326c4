// multiprocessing/start_method/serial.hpp
//
// No start at all: the target runs in the caller, at once, so that a debugger finds the caller
// below it. Chosen by get_context<"serial">(). Floor 3. SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <memory>
#include <string_view>
#include <utility>

#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/target.hpp"

namespace multiprocessing {
namespace detail {

/// Makes this process answer to another identity while it lives. For a program in one thread.
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

/// Run the target in the caller.
struct serial {
    static constexpr std::string_view name = "serial";  ///< as get_context takes it
    static constexpr bool inherits_memory = true;

    /// Runs `body` to its end, under the name of the process that it is for. What leaves it becomes
    /// the exit code, as of a process.
    template <class Body>
    static std::shared_ptr<detail::Child> start(detail::ProcessIdentity identity, Body&& body,
                                                const detail::Target* = nullptr) {
        identity.id = detail::self();
        const std::string child_name = identity.name;
        const bool daemon = identity.daemon;
        const detail::Masquerade child(std::move(identity));
        int status = 0;
        try {
            std::forward<Body>(body)();
        } catch (const detail::ExitRequest& request) {
            status = request.status & 0xFF;
        } catch (...) {
            detail::report_exception(child_name);
            status = 1;
        }
        detail::end_children_proper();
        return std::make_shared<detail::Child>(detail::self(), ::getpid(), child_name, daemon,
                                               status);
    }
};

}  // namespace start_method
}  // namespace multiprocessing
