// multiprocessing/detail/format.hpp
//
// fmt prints every class that has a text (detail/text.hpp), and d[k], l[i], v.value and a[i] as the
// values that they are. Included when fmt was included before; include it yourself otherwise: fmt
// as a header alone takes a second or more to compile, which who does not use it should not pay.
// Floor 0. SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <string>

#include "multiprocessing/detail/text.hpp"

FMT_BEGIN_NAMESPACE

// Queues, arrays and proxies are ranges, which <fmt/ranges.h> would print too: then neither of the
// two formatters would be the better one.
template <typename T, typename Char>
struct is_range;
template <multiprocessing::detail::has_text T, typename Char>
struct is_range<T, Char> {
    static constexpr bool value = false;
};

/// Prints a text, with the format specifications of one.
template <multiprocessing::detail::has_text T>
struct formatter<T> : formatter<std::string> {
    // Else an object in a range would be printed in quotes, as a string in one is.
    void set_debug_format(bool) = delete;

    template <class FormatContext>
    auto format(const T& object, FormatContext& context) const {
        return formatter<std::string>::format(text_of(object), context);
    }
};

/// Prints a value that lies elsewhere, with the format specifications of its type.
template <multiprocessing::detail::stands_for_value T>
struct formatter<T> : formatter<typename T::accessed_type> {
    template <class FormatContext>
    auto format(const T& access, FormatContext& context) const {
        return formatter<typename T::accessed_type>::format(access.load(), context);
    }
};

FMT_END_NAMESPACE
