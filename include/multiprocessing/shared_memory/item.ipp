// multiprocessing/shared_memory/item.ipp
//
// How items compare and print: see item.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/shared_memory/item.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

/// What the alternatives are called in messages.
inline constexpr const char* item_type_names[] = {
    "an integer", "a floating-point number", "a bool", "a string", "bytes", "None"};

/// Says whether an int and a float are the same number, exactly, as Python compares them.
inline bool same_item(std::int64_t a, double b) noexcept {
    // Within these bounds the conversion cuts the fraction off, and does nothing else.
    if (!(b >= -0x1p63 && b < 0x1p63)) return false;
    const auto whole = static_cast<std::int64_t>(b);
    return whole == a && static_cast<double>(whole) == b;
}
inline bool same_item(double a, std::int64_t b) noexcept { return same_item(b, a); }
inline bool same_item(bool a, double b) noexcept { return same_item(std::int64_t{a}, b); }
inline bool same_item(double a, bool b) noexcept { return same_item(std::int64_t{b}, a); }
inline bool same_item(bool a, std::int64_t b) noexcept { return std::int64_t{a} == b; }
inline bool same_item(std::int64_t a, bool b) noexcept { return a == std::int64_t{b}; }
template <class Number>
bool same_item(Number a, Number b) noexcept {
    return a == b;
}

// No std::visit below: for two items it makes a function and a table entry for each pair of types.

/// Says whether a number and an item are the same.
template <class Number>
bool same_as_number(Number number, const ItemVariant& item) noexcept {
    if (const auto* other = std::get_if<std::int64_t>(&item)) return same_item(number, *other);
    if (const auto* other = std::get_if<double>(&item)) return same_item(number, *other);
    if (const auto* other = std::get_if<bool>(&item)) return same_item(number, *other);
    return false;
}
/// Says whether a text or bytes and an item are the same.
template <class T>
bool same_as_content(const T& content, const ItemVariant& item) noexcept {
    const auto* other = std::get_if<T>(&item);
    return other != nullptr && content == *other;
}

/// Returns an alternative as Python's repr writes it.
template <class T>
std::string item_repr(const T& value) {
    std::string text;
    append_repr(text, value);
    return text;
}
inline std::string item_repr(const std::vector<std::byte>& bytes) {
    return "b" + quoted({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, false);
}
inline std::string item_repr(std::nullopt_t) { return "None"; }

MULTIPROCESSING_INLINE bool same_items(const ItemVariant& a, const ItemVariant& b) {
    if (const auto* number = std::get_if<std::int64_t>(&a)) return same_as_number(*number, b);
    if (const auto* number = std::get_if<double>(&a)) return same_as_number(*number, b);
    if (const auto* truth = std::get_if<bool>(&a)) return same_as_number(*truth, b);
    if (const auto* text = std::get_if<std::string>(&a)) return same_as_content(*text, b);
    if (const auto* bytes = std::get_if<std::vector<std::byte>>(&a)) {
        return same_as_content(*bytes, b);
    }
    return a.index() == b.index();  // None
}

MULTIPROCESSING_INLINE std::string text_of_item(const ItemVariant& item) {
    if (const auto* number = std::get_if<std::int64_t>(&item)) return item_repr(*number);
    if (const auto* number = std::get_if<double>(&item)) return item_repr(*number);
    if (const auto* truth = std::get_if<bool>(&item)) return item_repr(*truth);
    if (const auto* text = std::get_if<std::string>(&item)) return item_repr(*text);
    if (const auto* bytes = std::get_if<std::vector<std::byte>>(&item)) return item_repr(*bytes);
    return item_repr(std::nullopt);
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void throw_item_type(std::size_t found,
                                                              std::size_t wanted) {
    throw TypeError(std::string("the item is ") + item_type_names[found] + ", not " +
                    item_type_names[wanted]);
}

}  // namespace multiprocessing::detail
