// multiprocessing/start_method/serial.hpp
//
// No start at all: the target runs in the caller, at once, so that a debugger finds the caller
// below it. Chosen by get_context<"serial">(). Floor 3. SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/child.hpp"
#include "multiprocessing/process/state.hpp"
#include "multiprocessing/process/target.hpp"

namespace multiprocessing::start_method {

/// Run the target in the caller.
struct serial {
    static constexpr std::string_view name = "serial";  ///< as get_context takes it
    static constexpr bool inherits_memory = true;

    /// Runs `body` to its end, under the name of the process that it is for. What leaves it becomes
    /// the exit code, as it would in a process.
    template <class Body>
    static std::shared_ptr<detail::Child> start(detail::ProcessIdentity identity, Body&& body,
                                                const detail::Target* = nullptr) {
        return start_body(std::move(identity), body);
    }

  private:
    static std::shared_ptr<detail::Child> start_body(detail::ProcessIdentity identity,
                                                     detail::ChildBody body);
};

}  // namespace multiprocessing::start_method

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/start_method/serial.ipp"
#endif
