// multiprocessing/detail/system.ipp
//
// The error of a failed system call: see system.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/system.hpp"

#include <cerrno>
#include <string>
#include <system_error>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void throw_system_error(const char* call, int error) {
    // The library's descriptors belong to it alone. Only the program itself can have closed one.
    const char* const hint =
        error == EBADF ? " (this program has closed a descriptor of the library: closefrom?)" : "";
    throw std::system_error(error, std::generic_category(), std::string(call) + hint);
}

}  // namespace multiprocessing::detail
