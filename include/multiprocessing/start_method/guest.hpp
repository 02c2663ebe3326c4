// multiprocessing/start_method/guest.hpp
//
// Guests: other programs that are children of a process and join its family, as a script of Python
// that a C++ program starts. A guest goes on with its own main, and asks for what it was given.
// Floor 3. Start at GuestArgument. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/process/child.hpp"
#include "multiprocessing/process/program.hpp"
#include "multiprocessing/process/state.hpp"

namespace multiprocessing::detail {

/// What a guest is given. The two programs have no types in common, so each object comes with the
/// name of what it is.
struct GuestArgument {
    std::string kind;   // the class of an object of the library: "Queue"; empty for a value
    std::string item;   // what the object holds, as one letter or more: "d" doubles
    AnyHandle handle;   // of an object
    std::string value;  // a pickle
};

/// Starts a program as a guest.
/// @param last   its last argument
/// @param layout says how the objects lie in memory; the guest must have the same
/// @throws std::bad_alloc, and as spawn_guest
std::shared_ptr<Child> start_guest(ProcessIdentity identity, const ProgramCommand& program,
                                   const std::string& last,
                                   const std::vector<GuestArgument>& arguments,
                                   std::uint64_t layout);

/// Says whether this process was started as a guest.
bool is_guest();

/// Makes this process, a guest, the child that its parent has started, and returns what it was
/// given. To be called once.
/// @throws RuntimeError when the other program has another version of the library
std::vector<GuestArgument> become_guest(std::uint64_t layout);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/start_method/guest.ipp"
#endif
