// multiprocessing/errors.ipp
//
// Constructors of the exceptions: see errors.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/errors.hpp"

#include <string>
#include <utility>

#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing {

MULTIPROCESSING_INLINE BufferTooShort::BufferTooShort(std::string message)
    : ProcessError(detail::joined({"the received message of ", message.size(),
                                   " bytes does not fit the buffer; message() holds it"})),
      message_(std::move(message)) {}

MULTIPROCESSING_INLINE RemoteError::RemoteError(std::string type_name, std::string message,
                                                std::string process_name, pid_t pid,
                                                const std::string& task)
    : ProcessError(
          detail::joined({type_name, " in process ", process_name, " (pid ", pid, "): ", message,
                          task.empty() ? "" : " (", task, task.empty() ? "" : ")"})),
      type_name_(std::move(type_name)),
      message_(std::move(message)),
      process_name_(std::move(process_name)),
      pid_(pid) {}

}  // namespace multiprocessing
