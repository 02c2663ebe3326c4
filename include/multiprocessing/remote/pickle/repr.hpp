// multiprocessing/remote/pickle/repr.hpp
//
// Prints values of pickles as Python's repr does. A long text, and a long list, is cut, as in
// detail/repr.hpp. Floor 9. Start at append_repr. SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "multiprocessing/remote/pickle/order.hpp"
#include "multiprocessing/remote/pickle/tree.hpp"

namespace multiprocessing::detail::pickles {

/// Appends a value's repr.
void append_repr(std::string& text, const Place& place);

/// Returns what Python's str() of an exception would be: its only argument, or all.
/// @pre the node is a reduced object
std::string exception_text(const Place& place);

}  // namespace multiprocessing::detail::pickles

#include "multiprocessing/remote/pickle/repr.ipp"
