// multiprocessing/shared_objects/format.hpp
//
// Lets fmt print a shared object as `<Shared [1, 2, 3]>`, and a shared::string as its text.
// shared_objects.hpp includes this file when fmt was included before, see detail/format.hpp.
// Floor 4. SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

#include "multiprocessing/detail/format.hpp"
#include "multiprocessing/shared_objects/containers.hpp"
#include "multiprocessing/shared_objects/shared.hpp"

FMT_BEGIN_NAMESPACE

/// A string is also a range of characters, and <fmt/ranges.h> would print it as one.
template <typename Char>
struct is_range<multiprocessing::shared::string, Char> {
    static constexpr bool value = false;  ///< it is not printed as a range
};

/// Prints a text in shared memory as any other text.
template <>
struct formatter<multiprocessing::shared::string> : formatter<string_view> {
    /// Prints the characters.
    template <class FormatContext>
    auto format(const multiprocessing::shared::string& text, FormatContext& context) const {
        return multiprocessing::detail::format_value<string_view>(
            *this, string_view(text.data(), text.size()), context);
    }
};

FMT_END_NAMESPACE
