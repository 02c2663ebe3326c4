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

/// The type as which fmt formats a text or a number: the core of fmt has no formatters but these
/// since fmt 10. Those of the other types come with <fmt/format.h>, which is included later, and a
/// class must not have asked for one before.
template <class T>
struct FormattedAs {
    using type = T;
};
template <class T>
    requires std::is_same_v<T, signed char> || std::is_same_v<T, short>
struct FormattedAs<T> {
    using type = int;
};
template <class T>
    requires std::is_same_v<T, unsigned char> || std::is_same_v<T, unsigned short>
struct FormattedAs<T> {
    using type = unsigned;
};
template <>
struct FormattedAs<long> {
    using type = long long;
};
template <>
struct FormattedAs<unsigned long> {
    using type = unsigned long long;
};
template <>
struct FormattedAs<std::string> {
    using type = fmt::string_view;
};
template <class T>
using formatted_as = typename FormattedAs<T>::type;

/// Formats a text or a number as fmt does.
template <class T>
fmt::format_context::iterator format_natively(const fmt::formatter<T>& formatter, const T& value,
                                              fmt::format_context& context);

/// Whether the compiled library has format_natively for the type.
template <class T>
concept formatted_natively = std::is_arithmetic_v<T> || std::is_same_v<T, fmt::string_view>;

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
struct formatter<T> : formatter<string_view> {
    // Otherwise an object in a range would be printed in quotes, as a string in a range is.
    void set_debug_format(bool) = delete;

    template <class FormatContext>
    auto format(const T& object, FormatContext& context) const {
        const std::string text = text_of(object);
        return multiprocessing::detail::format_value<string_view>(*this, text, context);
    }
};

/// Prints a value that lies elsewhere, with the format specifications of the value's type.
template <multiprocessing::detail::stands_for_value T>
struct formatter<T> : formatter<multiprocessing::detail::formatted_as<typename T::accessed_type>> {
    template <class FormatContext>
    auto format(const T& access, FormatContext& context) const {
        using As = multiprocessing::detail::formatted_as<typename T::accessed_type>;
        const typename T::accessed_type value = access.load();
        return multiprocessing::detail::format_value<As>(*this, value, context);
    }
};

FMT_END_NAMESPACE

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/format.ipp"
#endif
