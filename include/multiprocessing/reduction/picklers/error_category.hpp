// multiprocessing/reduction/picklers/error_category.hpp
//
// Error categories that travel by name. Those of the standard library are the same in every
// process. For a program's own category the receiver, which cannot find its object, makes one of
// that name. Floor 2. Start at category_by_name. SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <system_error>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// Returns the category of this name that every process has, or null. It does not know the one of
/// futures, which is declared in <future>: that is slow to include.
const std::error_category* find_standard_category(const std::string& name) noexcept;

/// Returns the category of this name.
/// @throws ValueError when it is none of those that every process has
const std::error_category& find_category(const std::string& name);

/// Returns the category of this name. @param value,text one of its codes, and what that means
[[gnu::cold]] const std::error_category& category_by_name(const std::string& name, int value,
                                                          const std::string& text);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/reduction/picklers/error_category.ipp"
#endif
