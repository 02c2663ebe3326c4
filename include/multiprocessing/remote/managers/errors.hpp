// multiprocessing/remote/managers/errors.hpp
//
// What replies tell of errors that are not sent as exceptions. Mirrors convert_to_error of CPython
// Lib/multiprocessing/managers.py. Floor 9. Start at throw_traceback.
// SPDX-License-Identifier: MIT
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

/// Logs an error that is nobody's: "what: why".
void note(int level, std::string_view what, const std::exception& why) noexcept;

/// Throws a RemoteError that stands for an exception of Python's which has no counterpart here. A
/// server sends it as that exception.
[[noreturn]] void throw_python_error(std::string type, std::string message);
/// Throws the AttributeError that Python throws.
[[noreturn]] void throw_attribute_error(std::string_view class_name, std::string_view attribute);

/// Returns what a server tells of an error in place of Python's traceback.
std::string traceback_text(const std::exception_ptr& error);
/// Throws the RemoteError that a `#TRACEBACK` stands for. Its type name is in the text's last line.
[[noreturn]] void throw_traceback(const std::string& text);

/// Throws the RemoteError for a reply with an exception of a class that the program in Python has
/// defined; returns when a message is none. Such a class has a name that does not travel, so its
/// pickle cannot be read. But the name is in it, and the text.
void throw_foreign_exception(const std::string& message);

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/managers/errors.ipp"
