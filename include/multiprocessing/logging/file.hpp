// multiprocessing/logging/file.hpp
//
// The log file of this process. It has its own name, and is never the parent's file. Floor 2.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "multiprocessing/detail/descriptor.hpp"

namespace multiprocessing::detail {

constexpr int no_file_yet = -1;   // it is opened for the first line
constexpr int no_file_ever = -2;  // it could not be opened

/// The descriptor of this process's log file. Once the file is open, the number stays the same. So
/// no thread can write to a descriptor that was closed meanwhile.
inline constinit std::atomic<int> log_file{no_file_yet};

/// Replaces each `mark` in the name of a file. The text may be any: it stays in one folder.
[[gnu::cold]] void replace_in_file_name(std::string& pattern, std::string_view mark,
                                        std::string text);

/// Returns `pattern` with {pid} and {name} replaced. @param field what stands for the name
[[gnu::cold]] std::string log_file_name(std::string pattern, std::string_view name,
                                        std::string_view field = "{name}");

/// Returns the pattern as an absolute path: a child may change its folder.
[[gnu::cold]] std::string absolute_pattern(std::string_view pattern);

/// Opens a file for appending. With O_APPEND the kernel puts each write behind all earlier ones,
/// whichever process it comes from.
/// @throws std::system_error ENOENT, EACCES, EMFILE, …
[[gnu::cold]] Descriptor open_log_file(const std::string& name);

/// Makes `file` the log file. It replaces one that is open.
[[gnu::cold]] void install_log_file(Descriptor file);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/logging/file.ipp"
#endif
