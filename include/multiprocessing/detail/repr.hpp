// multiprocessing/detail/repr.hpp
//
// Values in the form of Python's repr, for objects that print what they hold: 1, 2.5, 'text', True,
// [1, 2], {'a': 1}, (1, 2), None. A long text is cut: a log line is no place for a million items.
// Floor 0. Start at append_repr. SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "multiprocessing/detail/text.hpp"

namespace multiprocessing::detail {

/// How much of a container is printed: at most this many items, and no item after this many
/// characters.
inline constexpr std::size_t most_items = 100;
inline constexpr std::size_t most_characters = 10'000;

/// Returns text or bytes in the quotes that Python would use, with its escapes. @param is_text
/// whether bytes beyond ASCII are parts of characters
std::string quoted(std::string_view bytes, bool is_text = true);

/// Returns a number with the fewest digits from which it can be read back, in Python's form.
template <class Float>
std::string float_repr(Float number) {
    if (number != number) return "nan";
    const Float size = number < 0 ? -number : number;
    if (size > (std::numeric_limits<Float>::max)()) return number < 0 ? "-inf" : "inf";
    const bool is_fixed = size == 0 || (size >= Float(1e-4) && size < Float(1e16));
    char buffer[64];
    const auto result =
        std::to_chars(buffer, buffer + sizeof buffer, number,
                      is_fixed ? std::chars_format::fixed : std::chars_format::scientific);
    std::string text(buffer, result.ptr);
    if (is_fixed && text.find('.') == std::string::npos) text += ".0";
    return text;
}

/// A number with some digits behind the point, in place of printf's %.3f: that one writes a comma
/// where the program's locale wants one.
struct FixedText {
    char text[352];  // the largest double has 309 digits before the point

    FixedText(double number, int decimals) noexcept;
};

/// A number with some digits in all, in place of printf's %.4g, which depends on the locale too.
struct RoundedText {
    char text[32];

    RoundedText(double number, int digits) noexcept;
};

/// Returns `0x7f12…`, by which Python tells objects from each other.
std::string address_text(const void* object);

template <class T>
concept text_like = std::convertible_to<const T&, std::string_view>;
template <class T>
concept number_like =
    std::is_arithmetic_v<T> && !std::same_as<T, wchar_t> && !std::same_as<T, char8_t> &&
    !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;
template <class T>
concept optional_like = requires(const T& value) {
    typename T::value_type;
    { value.has_value() } -> std::same_as<bool>;
    { *value } -> std::same_as<const typename T::value_type&>;
};
/// (A filesystem::path consists of paths, but it has no size.)
template <class T>
concept container_like = requires(const T& container) {
    typename T::value_type;
    container.begin() != container.end();
    { container.size() } -> std::convertible_to<std::size_t>;
};
template <class T>
concept map_like = container_like<T> && requires { typename T::mapped_type; };
template <class T>
concept set_like = container_like<T> && requires { typename T::key_type; };
template <class T>
concept tuple_like = !container_like<T> && requires { std::tuple_size<T>::value; };

template <class T>
consteval bool is_printable();

template <class Tuple, std::size_t... I>
consteval bool are_printable(std::index_sequence<I...>) {
    return (is_printable<std::remove_cvref_t<std::tuple_element_t<I, Tuple>>>() && ...);
}

/// Returns whether append_repr takes a T.
template <class T>
consteval bool is_printable() {
    if constexpr (has_text<T> || text_like<T> || number_like<T>) {
        return true;
    } else if constexpr (map_like<T>) {
        return is_printable<typename T::key_type>() && is_printable<typename T::mapped_type>();
    } else if constexpr (container_like<T> || optional_like<T>) {
        return !std::same_as<typename T::value_type, T> && is_printable<typename T::value_type>();
    } else if constexpr (tuple_like<T>) {
        return are_printable<T>(std::make_index_sequence<std::tuple_size_v<T>>());
    } else {
        return false;
    }
}

template <class T>
void append_repr(std::string& text, const T& value);

/// Prints the items of a container between brackets, up to the limits above.
class ItemsText {
  public:
    ItemsText(std::string& text, std::string_view bracket) : text_(text) { text_ += bracket; }

    /// Begins an item. @returns false if enough is printed; the caller leaves out the rest
    [[nodiscard]] bool next();
    template <class T>
    bool add(const T& value) {
        if (!next()) return false;
        append_repr(text_, value);
        return true;
    }
    template <class K, class V>
    bool add(const K& key, const V& value) {
        if (!next()) return false;
        append_repr(text_, key);
        text_ += ": ";
        append_repr(text_, value);
        return true;
    }
    void end(std::string_view bracket) { text_ += bracket; }

  private:
    std::string& text_;
    std::size_t count_ = 0;
};

template <class Container>
void append_items(std::string& text, const Container& container) {
    constexpr bool has_keys = map_like<Container> || set_like<Container>;
    ItemsText items(text, has_keys ? "{" : "[");
    for (const typename Container::value_type& item : container) {
        if constexpr (map_like<Container>) {
            if (!items.add(item.first, item.second)) break;
        } else {
            if (!items.add(item)) break;
        }
    }
    items.end(has_keys ? "}" : "]");
}

template <class Tuple, std::size_t... I>
void append_tuple(std::string& text, const Tuple& tuple, std::index_sequence<I...>) {
    ItemsText items(text, "(");
    using std::get;
    (void)(items.add(get<I>(tuple)) && ...);
    items.end(sizeof...(I) == 1 ? ",)" : ")");
}

/// Appends a value in the form of Python's repr. @pre is_printable<T>()
template <class T>
void append_repr(std::string& text, const T& value) {
    if constexpr (has_text<T>) {
        text += text_of(value);
    } else if constexpr (std::same_as<T, bool>) {
        text += value ? "True" : "False";
    } else if constexpr (std::same_as<T, char>) {
        text += quoted({&value, 1}, false);
    } else if constexpr (std::same_as<T, long double>) {
        text += float_repr(static_cast<double>(value));
    } else if constexpr (std::floating_point<T>) {
        text += float_repr(value);
    } else if constexpr (number_like<T>) {
        text += std::to_string(value);
    } else if constexpr (text_like<T>) {
        text += quoted(static_cast<std::string_view>(value));
    } else if constexpr (container_like<T>) {
        append_items(text, value);
    } else if constexpr (optional_like<T>) {
        value.has_value() ? append_repr(text, *value) : void(text += "None");
    } else {
        append_tuple(text, value, std::make_index_sequence<std::tuple_size_v<T>>());
    }
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/repr.ipp"
#endif
