// multiprocessing/pool/insight/report_text.hpp
//
// How texts and numbers are written in a report. What comes from the program, such as the names of
// functions and the messages of errors, goes through html_text or json_text. Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace multiprocessing::detail {

/// Returns a text as HTML shows it: no character of it is markup, within quotes neither.
[[gnu::cold]] std::string html_text(std::string_view text);

/// Returns a text as a string of JSON, with its quotes. It may stand within a script element, since
/// it has no "<".
[[gnu::cold]] std::string json_text(std::string_view text);

/// Returns a number with commas: "1,234,567".
[[gnu::cold]] std::string count_text(std::uint64_t number);

/// Returns e.g. "1.25 s", "37.0 ms".
[[gnu::cold]] std::string seconds_text(double seconds);

/// Returns e.g. "12.5 MiB"; a dash for 0, which stands for what is not known.
[[gnu::cold]] std::string memory_text(std::uint64_t bytes);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/insight/report_text.ipp"
#endif
