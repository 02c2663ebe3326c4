// multiprocessing/detail/format.hpp
//
// With this header fmt prints every class that has a text (detail/text.hpp). It prints d[k], l[i],
// v.value and a[i] as the values that they stand for. The library includes this header if fmt was
// included before. Otherwise include it yourself: fmt as a header alone takes a second or more to
// compile, and programs that do not use fmt do not pay for it.
//
// Where the library is compiled once, that has the code that formats texts and numbers. The core of
// fmt is then enough to print the library's objects.
// Floor 0. SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <type_traits>

#include "multiprocessing/detail/fmt_core.hpp"
#include "multiprocessing/detail/text.hpp"

namespace multiprocessing::detail {

/// Formats a text or a number as fmt does.
template <class T>
fmt::format_context::iterator format_natively(const fmt::formatter<T>& formatter, const T& value,
                                              fmt::format_context& context);

/// Whether the compiled library has format_natively for the type.
template <class T>
concept formatted_natively = std::is_arithmetic_v<T> || std::is_same_v<T, std::string>;

/// Formats a value for the classes below.
template <class T, class FormatContext>
auto format_value(const fmt::formatter<T>& formatter, const T& value, FormatContext& context) {
    if constexpr (formatted_natively<T> && std::is_same_v<FormatContext, fmt::format_context>) {
        return format_natively(formatter, value, context);
    } else {
        return formatter.format(value, context);
    }
}

}  // namespace multiprocessing::detail

FMT_BEGIN_NAMESPACE

// Queues, arrays and proxies are ranges, which <fmt/ranges.h> would print too. The compiler could
// then not choose between the two formatters.
template <typename T, typename Char>
struct is_range;
template <multiprocessing::detail::has_text T, typename Char>
struct is_range<T, Char> {
    static constexpr bool value = false;
};

/// Prints the text of an object, with the format specifications of a string.
template <multiprocessing::detail::has_text T>
struct formatter<T> : formatter<std::string> {
    // Otherwise an object in a range would be printed in quotes, as a string in a range is.
    void set_debug_format(bool) = delete;

    template <class FormatContext>
    auto format(const T& object, FormatContext& context) const {
        return multiprocessing::detail::format_value<std::string>(*this, text_of(object), context);
    }
};

/// Prints a value that lies elsewhere, with the format specifications of the value's type.
template <multiprocessing::detail::stands_for_value T>
struct formatter<T> : formatter<typename T::accessed_type> {
    template <class FormatContext>
    auto format(const T& access, FormatContext& context) const {
        return multiprocessing::detail::format_value<typename T::accessed_type>(
            *this, access.load(), context);
    }
};

FMT_END_NAMESPACE

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/format.ipp"
#endif
