// multiprocessing/shared_memory/item.ipp
//
// How items compare and print: see item.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/shared_memory/item.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
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
inline bool same_item(std::nullopt_t, std::nullopt_t) noexcept { return true; }
template <class A, class B>
bool same_item(const A& a, const B& b) noexcept {
    if constexpr (std::is_same_v<A, B>) {
        return a == b;
    } else {
        return false;
    }
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
    return std::visit([](const auto& x, const auto& y) { return same_item(x, y); }, a, b);
}

MULTIPROCESSING_INLINE std::string text_of_item(const ItemVariant& item) {
    return std::visit([](const auto& value) { return item_repr(value); }, item);
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void throw_item_type(std::size_t found,
                                                              std::size_t wanted) {
    throw TypeError(std::string("the item is ") + item_type_names[found] + ", not " +
                    item_type_names[wanted]);
}

}  // namespace multiprocessing::detail
