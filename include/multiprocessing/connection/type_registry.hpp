// multiprocessing/connection/type_registry.hpp
//
// The names behind the fingerprints that messages carry, for error messages: both ends run the same
// program, so every type that one of them sends is known to the other by name. Floor 4.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "multiprocessing/reduction/type_name.hpp"

namespace multiprocessing::detail {

/// One of the types that the program sends or receives. Never freed: used while static objects are.
struct KnownType {
    std::uint64_t fingerprint;
    std::string name;
    const KnownType* next;
};
inline constinit std::atomic<const KnownType*> known_types{nullptr};

inline bool remember_type(std::uint64_t fingerprint, std::string_view name) {
    auto* const type = new KnownType{fingerprint, std::string(name), known_types.load()};
    while (!known_types.compare_exchange_weak(type->next, type)) {
    }
    return true;
}

/// Whatever mentions `known` has T entered before main.
template <class T>
struct RememberedType {
    static inline const bool known = remember_type(type_fingerprint<T>(), type_name<T>());
};

/// Returns the name as people write it: std::string instead of what it is an alias for.
inline std::string readable_name(std::string_view name) {
    std::string text(name);
    for (const std::string_view full :
         {"std::__cxx11::basic_string<char>", "std::basic_string<char>"}) {
        for (auto at = text.find(full); at != std::string::npos; at = text.find(full)) {
            text.replace(at, full.size(), "std::string");
        }
    }
    return text;
}

/// Returns the name of the type, or an empty string.
inline std::string name_of_fingerprint(std::uint64_t fingerprint) {
    for (const KnownType* type = known_types.load(); type != nullptr; type = type->next) {
        if (type->fingerprint == fingerprint) return readable_name(type->name);
    }
    return {};
}

}  // namespace multiprocessing::detail
