// multiprocessing/heap/inheritance.hpp
//
// How a program that was started anew by its family comes to the family's heap: descriptors at
// fixed numbers, and one variable of the environment that says what the process is to be. Floor 1.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "multiprocessing/heap/family.hpp"
#include "multiprocessing/heap/segment.hpp"

namespace multiprocessing::detail {

/// The variable's name, for getenv; its value is what to_string makes of an Inheritance.
constexpr const char* inheritance_variable = "MULTIPROCESSING_INHERITANCE";

// The descriptors, in this order; which of them are passed begins with the first.
constexpr int segment_descriptor = 3;
constexpr int mailbox_descriptor = 4;   // and the next one
constexpr int requests_descriptor = 6;  // and the next one
constexpr int lifeline_descriptor = 8;  // the parent's, for children alone

/// What a process that runs the program anew is to be.
enum class Role : char { none = '-', child = 'c', fork_server = 's' };

struct Inheritance {
    Role role = Role::none;
    Offset message = 0;  // what it is told, in the heap
    ProcessId id;        // its place in the family's table
};

/// Returns it as a line of an environment.
inline std::string to_string(const Inheritance& inheritance) {
    return std::string(inheritance_variable) + "=" + static_cast<char>(inheritance.role) + " " +
           std::to_string(inheritance.message) + " " + std::to_string(inheritance.id.index) + " " +
           std::to_string(inheritance.id.generation);
}

/// Takes the variable out of the environment: programs that this one starts by other means are
/// nothing of the family's.
inline Inheritance take_inheritance_from_environment() {
    Inheritance inheritance;
    const char* const text = std::getenv(inheritance_variable);
    if (text == nullptr) return inheritance;
    char role = '-';
    unsigned long long message = 0;
    if (std::sscanf(text, "%c %llu %u %u", &role, &message, &inheritance.id.index,
                    &inheritance.id.generation) == 4) {
        inheritance.role = static_cast<Role>(role);
        inheritance.message = message;
    }
    ::unsetenv(inheritance_variable);
    return inheritance;
}

/// Returns what this process is to be. The first call reads it, before there are threads: it comes
/// from freeze_support, or from what static objects make before main.
inline const Inheritance& take_inheritance() {
    static constinit std::atomic<bool> taken{false};
    static constinit Inheritance inheritance;
    if (!taken.exchange(true)) inheritance = take_inheritance_from_environment();
    return inheritance;
}

}  // namespace multiprocessing::detail
