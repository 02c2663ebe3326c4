// multiprocessing/heap/inheritance.ipp
//
// How an inheritance is written to the environment and read from it: see inheritance.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/inheritance.hpp"

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE std::string to_string(const Inheritance& inheritance) {
    return std::string(inheritance_variable) + "=" + static_cast<char>(inheritance.role) + " " +
           std::to_string(inheritance.message) + " " + std::to_string(inheritance.id.index) + " " +
           std::to_string(inheritance.id.generation) + " " + std::to_string(inheritance.lifelines);
}

/// Takes the variable out of the environment: programs that this one starts by other means do not
/// belong to the family.
MULTIPROCESSING_INLINE Inheritance take_inheritance_from_environment() {
    Inheritance inheritance;
    const char* const text = std::getenv(inheritance_variable);
    if (text == nullptr) return inheritance;
    char role = '-';
    unsigned long long message = 0;
    if (std::sscanf(text, "%c %llu %u %u %u", &role, &message, &inheritance.id.index,
                    &inheritance.id.generation, &inheritance.lifelines) == 5) {
        inheritance.role = static_cast<Role>(role);
        inheritance.message = message;
    }
    ::unsetenv(inheritance_variable);
    return inheritance;
}

MULTIPROCESSING_INLINE const Inheritance& take_inheritance() {
    static constinit std::atomic<bool> taken{false};
    static constinit Inheritance inheritance;
    if (!taken.exchange(true)) inheritance = take_inheritance_from_environment();
    return inheritance;
}

}  // namespace multiprocessing::detail
