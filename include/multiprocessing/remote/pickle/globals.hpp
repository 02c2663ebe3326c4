// multiprocessing/remote/pickle/globals.hpp
//
// The closed set of what a pickle may name: Python classes and functions, each with what the
// library makes of it. Any other name is refused. Nothing that a message names is ever run.
// Floor 9. Start at find_global, and at the table in globals.ipp. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail::pickles {

/// What a call of a global gives.
enum class Role : std::uint8_t {
    reduced,      // an object of which only the call is known, as a manager's Token
    exception,    // the same, of an exception class
    list,         // list(items)
    tuple,        // tuple(items)
    set,          // set(items)
    frozenset,    // frozenset(items)
    bytes,        // bytes(): how protocol 2 writes an empty one
    bytearray,    // bytearray(bytes), or of a text and 'latin-1'
    complex,      // complex(real, imaginary)
    codec_encode  // _codecs.encode(text, 'latin1'): how protocol 2 writes bytes
};

/// A name that may travel.
struct Global {
    std::string_view module;
    std::string_view name;
    Role role = Role::reduced;
};

/// Returns the number of a global, by its name of any version of Python.
/// @throws TypeError when it is not of the closed set
std::uint32_t find_global(std::string_view module, std::string_view name);

/// Returns the global of a number.
const Global& global_at(std::uint32_t number) noexcept;

}  // namespace multiprocessing::detail::pickles

#include "multiprocessing/remote/pickle/globals.ipp"
