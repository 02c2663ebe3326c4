// multiprocessing/detail/system.hpp
//
// System calls in the way of C++. A failure is a std::system_error that names the call. An
// interruption by a signal is no failure. Floor 0. SPDX-License-Identifier: MIT
#pragma once

#include <cerrno>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// Throws the std::system_error of a system call that failed with `error` (default: errno).
[[noreturn]] void throw_system_error(const char* call, int error = errno);

/// Calls `call` again as long as signals interrupt it. Returns what the last call returned.
template <class Call>
auto retry_on_eintr(Call call) {
    auto result = call();
    while (result == -1 && errno == EINTR) result = call();
    return result;
}

/// Returns `result` unless it says that the system call `name` failed.
template <class Result>
Result checked(Result result, const char* name) {
    if (result == static_cast<Result>(-1)) throw_system_error(name);
    return result;
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/system.ipp"
#endif
