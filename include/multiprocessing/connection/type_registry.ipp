// multiprocessing/connection/type_registry.ipp
//
// The list of the types that a program sends and receives: see type_registry.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/connection/type_registry.hpp"

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

/// A type that the program sends or receives. It is never freed: it is used for as long as static
/// objects are.
struct KnownType {
    std::uint64_t fingerprint;
    std::string name;
    const KnownType* next;
};
inline constinit std::atomic<const KnownType*> known_types{nullptr};

MULTIPROCESSING_INLINE bool remember_type(std::uint64_t fingerprint, std::string_view name) {
    auto* const type = new KnownType{fingerprint, std::string(name), known_types.load()};
    while (!known_types.compare_exchange_weak(type->next, type)) {
    }
    return true;
}

MULTIPROCESSING_INLINE std::string readable_name(std::string_view name) {
    std::string text(name);
    for (const std::string_view full :
         {"std::__cxx11::basic_string<char>", "std::basic_string<char>"}) {
        for (auto at = text.find(full); at != std::string::npos; at = text.find(full)) {
            text.replace(at, full.size(), "std::string");
        }
    }
    return text;
}

MULTIPROCESSING_INLINE std::string name_of_fingerprint(std::uint64_t fingerprint) {
    for (const KnownType* type = known_types.load(); type != nullptr; type = type->next) {
        if (type->fingerprint == fingerprint) return readable_name(type->name);
    }
    return {};
}

}  // namespace multiprocessing::detail
