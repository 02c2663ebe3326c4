// multiprocessing/sharedctypes/content.hpp
//
// What is printed of shared values and arrays. No lock is taken, as in Python: whoever prints wants
// to see why a program stands still, and the holder may be the reason. Floor 4.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/reduction/type_name.hpp"

namespace multiprocessing::detail {

/// Values of T can be read while others write them. Numbers alone: of a struct it may be half of
/// the old and half of the new, in which a length or an address is no longer one.
template <class T>
concept readable_unlocked = number_like<T>;

/// Returns a number that others may be writing.
template <readable_unlocked T>
T peek(T& number) noexcept {
    if constexpr (std::atomic_ref<T>::is_always_lock_free) {
        // relaxed: one number, of any moment.
        return std::atomic_ref<T>(number).load(std::memory_order_relaxed);
    } else {
        return number;  // a long double, which no instruction reads at once
    }
}

/// Returns `int(3)`, as the object itself prints in Python's ctypes; `<Point object>` of a struct.
template <class T>
std::string shared_value_text(T& object) {
    std::string text(type_name<T>());
    if constexpr (readable_unlocked<T>) {
        text += '(';
        append_repr(text, peek(object));
        return text + ')';
    } else {
        return "<" + text + " object>";
    }
}

/// Returns `[1, 2, 3]`, or `b'text'` of characters. @param elements the first of `size`
template <readable_unlocked T>
std::string shared_array_text(T* elements, std::size_t size) {
    constexpr bool is_text = std::same_as<T, char>;
    // One more than is printed, so that it is seen that there are more.
    std::vector<T> copy(std::min(size, (is_text ? most_characters : most_items) + 1));
    for (std::size_t i = 0; i < copy.size(); ++i) copy[i] = peek(elements[i]);
    std::string text;
    if constexpr (is_text) {
        text = "b" + quoted({copy.data(), copy.size()}, false);
    } else {
        append_items(text, copy);
    }
    return text;
}

}  // namespace multiprocessing::detail
