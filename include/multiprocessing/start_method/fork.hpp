// multiprocessing/start_method/fork.hpp
//
// The fork start method: the child is a copy of its parent at the moment of the start, so the
// target is simply there. Mirrors CPython Lib/multiprocessing/popen_fork.py. Floor 3.
// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/child.hpp"
#include "multiprocessing/process/state.hpp"
#include "multiprocessing/process/target.hpp"

namespace multiprocessing::start_method {

/// Start a child with fork(2).
struct fork {
    static constexpr std::string_view name = "fork";  ///< as get_context takes it
    static constexpr bool inherits_memory = true;

    /// Starts a child that runs `body` and leaves.
    /// @throws std::system_error EAGAIN (too many processes), ENOMEM, EMFILE
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
#include "multiprocessing/start_method/fork.ipp"
#endif
