// multiprocessing/sharedctypes/typecode.hpp
//
// The types behind Python's type codes, for code ported from there. Floor 4.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing {
namespace detail {

/// The type of a code: `type`.
template <char code>
struct TypeOfCode {
    static_assert(
        code == '\0',  // depends on the parameter, and never holds here
        "multiprocessing: bad typecode: it must be one of c, u, b, B, h, H, i, I, l, L, q, "
        "Q, f, d");
};
// clang-format off
template <> struct TypeOfCode<'c'> { using type = char; };
template <> struct TypeOfCode<'u'> { using type = wchar_t; };
template <> struct TypeOfCode<'b'> { using type = signed char; };
template <> struct TypeOfCode<'B'> { using type = unsigned char; };
template <> struct TypeOfCode<'h'> { using type = short; };
template <> struct TypeOfCode<'H'> { using type = unsigned short; };
template <> struct TypeOfCode<'i'> { using type = int; };
template <> struct TypeOfCode<'I'> { using type = unsigned int; };
template <> struct TypeOfCode<'l'> { using type = long; };
template <> struct TypeOfCode<'L'> { using type = unsigned long; };
template <> struct TypeOfCode<'q'> { using type = long long; };
template <> struct TypeOfCode<'Q'> { using type = unsigned long long; };
template <> struct TypeOfCode<'f'> { using type = float; };
template <> struct TypeOfCode<'d'> { using type = double; };
// clang-format on

}  // namespace detail

/// The type that Python's multiprocessing means by a code: `mp::typecode<'d'>` is double. An
/// unknown code does not compile.
/// @par Source CPython Lib/multiprocessing/sharedctypes.py, typecode_to_type
template <char code>
using typecode = typename detail::TypeOfCode<code>::type;

}  // namespace multiprocessing
