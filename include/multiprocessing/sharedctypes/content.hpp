// multiprocessing/sharedctypes/content.hpp
//
// How shared values and arrays are printed. No lock is taken, as in Python: a user may print to see
// why a program stands still, and the lock's holder may be the reason. Floor 4.
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
#include "multiprocessing/reduction/types/type_name.hpp"

namespace multiprocessing::detail {

/// Values of T can be read while others write them. This is so for numbers alone: a struct may be
/// read half old and half new, and then a length or an address in it may be wrong.
template <class T>
concept readable_unlocked = number_like<T>;

/// Reads a number that others may write at the same time.
template <readable_unlocked T>
T peek(T& number) noexcept {
    if constexpr (std::atomic_ref<T>::is_always_lock_free) {
        // relaxed: the value of any moment will do.
        return std::atomic_ref<T>(number).load(std::memory_order_relaxed);
    } else {
        return number;  // a long double, which no single instruction reads
    }
}

/// Returns `int(3)`, as Python's ctypes prints the object itself; `<Point object>` for a struct.
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

/// Returns `[1, 2, 3]`, or `b'text'` for characters.
/// @param elements the first of `size` elements
template <readable_unlocked T>
std::string shared_array_text(T* elements, std::size_t size) {
    constexpr bool is_text = std::same_as<T, char>;
    // One more than is printed, so that the text shows that there are more.
    std::vector<T> copy((std::min)(size, (is_text ? most_characters : most_items) + 1));
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
