// multiprocessing/detail/untyped.hpp
//
// What stands in the place of a type that a program has left out, until the compiler has said so.
// Floor 0. SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// Is made of anything, and becomes anything, so that only what is missing is an error.
struct Untyped {
    Untyped() = default;
    template <class T>
        requires(!std::is_same_v<T, Untyped>)
    Untyped(const T&);  // NOLINT(google-explicit-constructor)
    template <class T>
        requires(!std::is_same_v<T, Untyped>)
    operator T() const;  // NOLINT(google-explicit-constructor)
};

/// Says whether T is a type that the program has named.
template <class T>
inline constexpr bool is_typed = !std::is_same_v<T, Untyped>;

}  // namespace multiprocessing::detail
