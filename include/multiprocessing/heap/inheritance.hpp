// multiprocessing/heap/inheritance.hpp
//
// How a program that its family has started anew finds the family's heap: descriptors at fixed
// numbers, and one variable of the environment that says what the process is to be. Floor 1.
// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "multiprocessing/heap/family.hpp"
#include "multiprocessing/heap/segment.hpp"

namespace multiprocessing::detail {

/// The name of the environment variable. Its value is what to_string makes of an Inheritance.
constexpr const char* inheritance_variable = "MULTIPROCESSING_INHERITANCE";

// The descriptors, in this order. A program is passed the first of them, some or all.
constexpr int segment_descriptor = 3;
constexpr int mailbox_descriptor = 4;   // and the next one
constexpr int requests_descriptor = 6;  // and the next one
constexpr int lifeline_descriptor = 8;  // and the next ones; for children alone

/// What a process that runs the program anew is to be. A guest is another program, which goes on
/// with its own main.
enum class Role : char { none = '-', child = 'c', fork_server = 's', guest = 'g' };

/// What such a process inherits.
struct Inheritance {
    Role role = Role::none;
    Offset message = 0;  // what it is told, in the heap
    ProcessId id;        // its place in the family's table
    unsigned lifelines = 0;
};

/// Returns it as a line of an environment.
std::string to_string(const Inheritance& inheritance);

/// Returns what this process is to be. The first call reads it, before there are threads:
/// freeze_support calls it, or what static objects make before main.
const Inheritance& take_inheritance();

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/heap/inheritance.ipp"
#endif
