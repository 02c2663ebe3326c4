// multiprocessing/errors.ipp
//
// Constructors of the exceptions: see errors.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/errors.hpp"

#include <string>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing {

MULTIPROCESSING_INLINE BufferTooShort::BufferTooShort(std::string message)
    : ProcessError("the received message of " + std::to_string(message.size()) +
                   " bytes does not fit the buffer; message() holds it"),
      message_(std::move(message)) {}

MULTIPROCESSING_INLINE RemoteError::RemoteError(std::string type_name, std::string message,
                                                std::string process_name, pid_t pid,
                                                const std::string& task)
    : ProcessError(type_name + " in process " + process_name + " (pid " + std::to_string(pid) +
                   "): " + message + (task.empty() ? task : " (" + task + ")")),
      type_name_(std::move(type_name)),
      message_(std::move(message)),
      process_name_(std::move(process_name)),
      pid_(pid) {}

}  // namespace multiprocessing
