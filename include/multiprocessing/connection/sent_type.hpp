// multiprocessing/connection/sent_type.hpp
//
// As what the types travel that users give to send and send_bytes. Floor 4.
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <iterator>
#include <string>
#include <type_traits>
#include <utility>

#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

template <class T>
consteval auto sent_type() {
    using Value = std::remove_cv_t<T>;
    if constexpr (is_c_string<Value>) {
        return std::type_identity<std::string>{};
    } else if constexpr (std::is_bounded_array_v<Value>) {
        using Element = typename decltype(sent_type<std::remove_extent_t<Value>>())::type;
        return std::type_identity<std::array<Element, std::extent_v<Value>>>{};
    } else if constexpr (std::is_function_v<Value>) {
        return std::type_identity<Value*>{};
    } else {
        return std::type_identity<Value>{};
    }
}
/// The type as which a T arrives: a string literal as a std::string, an array as a std::array.
template <class T>
using SentType = typename decltype(sent_type<T>())::type;

/// Makes the std::array as which a C array arrives.
template <class Sent, class Element, std::size_t count>
Sent sent_array(const Element (&array)[count]) {
    Sent sent{};
    for (std::size_t i = 0; i < count; ++i) {
        if constexpr (std::is_array_v<Element> && !is_c_string<Element>) {
            sent[i] = sent_array<typename Sent::value_type>(array[i]);
        } else {
            sent[i] = typename Sent::value_type(array[i]);
        }
    }
    return sent;
}

/// Contiguous elements that are nothing but their bytes, as those of a std::vector<int>.
template <class T>
concept plain_buffer =
    requires(T& buffer) {
        std::size(buffer);
        *std::data(buffer);
    } &&
    std::is_trivially_copyable_v<std::remove_reference_t<decltype(*std::data(std::declval<T&>()))>>;

/// Says whether T is a string or vector that travels as the number of its elements and their bytes.
template <class T>
consteval bool is_plain_array() {
    if constexpr (kind<T> == Kind::contiguous) {
        using Element = typename T::value_type;
        return Pickler<Element>::smallest != 0 && std::is_default_constructible_v<Element> &&
               !std::is_same_v<Element, bool> && requires(T& array) { array.reserve(1); };
    } else {
        return false;
    }
}

}  // namespace multiprocessing::detail
