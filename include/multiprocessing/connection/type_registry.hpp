// multiprocessing/connection/type_registry.hpp
//
// The names behind the fingerprints that messages carry, for error messages. Both ends run the same
// program, so each end knows the name of every type that the other sends. Floor 4.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "multiprocessing/reduction/types/type_name.hpp"

namespace multiprocessing::detail {

/// Enters a type. @returns true
bool remember_type(std::uint64_t fingerprint, std::string_view name);

/// Enters T before main, in a program that mentions `known` anywhere.
template <class T>
struct RememberedType {
    static inline const bool known = remember_type(type_fingerprint<T>(), type_name<T>());
};

/// Returns the name as people write it: std::string instead of the type that it is an alias for.
std::string readable_name(std::string_view name);

/// Returns the readable name of the type, or an empty string.
std::string name_of_fingerprint(std::uint64_t fingerprint);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/connection/type_registry.ipp"
#endif
