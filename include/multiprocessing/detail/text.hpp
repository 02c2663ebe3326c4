// multiprocessing/detail/text.hpp
//
// How objects are printed. Each public class has a friend `text_of`, which returns what Python's
// repr would. `operator<<` here and fmt's formatter in detail/format.hpp print that. What a class
// needs to print the values that it holds is in detail/repr.hpp. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <iosfwd>
#include <string>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing {
namespace detail {

/// An object that stands for a value elsewhere, as d[k] and v.value do. It prints as that value.
template <class T>
concept stands_for_value = requires(const T& access) {
    typename T::accessed_type;
    { access.load() } -> std::same_as<typename T::accessed_type>;
};

/// The class, or one that it derives from, has a friend `text_of` that is defined in the class.
/// Such a friend is found for the class itself, but not for what converts to it. (It is also found
/// for l[0] of a list of lists, by the argument of its template.)
template <class T>
concept has_text = !stands_for_value<T> && requires(const T& object) {
    { text_of(object) } -> std::same_as<std::string>;
};

}  // namespace detail

/// Prints an object in the way of Python's repr: `<Process name='Process-1' parent=12 initial>`.
/// It neither blocks nor throws, even when another process holds the object's lock or died with it.
template <detail::has_text T>
std::ostream& operator<<(std::ostream& stream, const T& object) {
    return stream << text_of(object);
}

// For a class in an inner namespace, the compiler searches only that namespace.
namespace connection {
using multiprocessing::operator<<;
}
namespace dummy {
using multiprocessing::operator<<;
}
namespace shared_memory {
using multiprocessing::operator<<;
}
namespace util {
using multiprocessing::operator<<;
}

}  // namespace multiprocessing
