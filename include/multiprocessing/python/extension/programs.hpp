// multiprocessing/python/extension/programs.hpp
//
// Programs of C++ as children of a process of Python, with which they share the module's objects.
// Floor 10. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/process.hpp"
#include "multiprocessing/python/extension/binding.hpp"
#include "multiprocessing/python/extension/waiting.hpp"
#include "multiprocessing/python/passing.hpp"
#include "multiprocessing/start_method/guest.hpp"

namespace multiprocessing::detail::pythons::extension {

inline constexpr const char* program_name = "multiprocessing_cpp.program";

template <>
struct Argument<ProcessControl&> {
    static ProcessControl& take(Object* object) {
        void* const kept = api().PyCapsule_GetPointer(object, program_name);
        if (kept == nullptr) throw Raised();
        return *static_cast<ProcessControl*>(kept);
    }
};

/// Returns what Python gives to a program: tuples of kind, item, handle and pickle.
inline std::vector<GuestArgument> taken_arguments(Object* list) {
    std::vector<GuestArgument> arguments;
    const ssize_t size = api().PyList_Size(list);
    for (ssize_t i = 0; i < size; ++i) {
        Object* const parts = api().PyList_GetItem(list, i);
        const auto part = [&](ssize_t place) { return api().PyTuple_GetItem(parts, place); };
        arguments.push_back(
            {Argument<std::string>::take(part(0)), Argument<std::string>::take(part(1)),
             Argument<AnyHandle>::take(part(2)), Argument<std::string>::take(part(3))});
    }
    return arguments;
}

/// @param name empty: the next one
inline Reference program_new(std::string name, bool is_daemon) {
    auto* const made =
        new ProcessControl({.name = std::move(name), .daemon = is_daemon}, "Program");
    Object* const capsule = api().PyCapsule_New(made, program_name, [](Object* ended) {
        delete static_cast<ProcessControl*>(api().PyCapsule_GetPointer(ended, program_name));
    });
    if (capsule == nullptr) delete made;
    return raising(capsule);
}

/// @param command the program's path, and its arguments; see taken_arguments for the others
inline void program_start(ProcessControl& control, std::vector<std::string> command,
                          Object* arguments) {
    const std::vector<GuestArgument> taken = taken_arguments(arguments);
    ProgramCommand program{command.front(), std::move(command)};
    const std::string last = std::move(program.arguments.back());  // which start_guest appends
    program.arguments.pop_back();
    control.note_start(start_guest(control.prepare_start(), program, last, taken, object_layout));
}

inline bool program_join(ProcessControl& control, Timeout timeout) {
    return wait_for(timeout, [&](Timeout time) { return control.join(time); });
}
inline bool program_is_alive(ProcessControl& control) { return control.is_alive(); }
inline void program_signal(ProcessControl& control, std::int64_t number) {
    control.signal(static_cast<int>(number));
}
inline std::optional<std::int64_t> program_exitcode(ProcessControl& control) {
    const std::optional<int> status = control.exitcode();
    return status ? std::optional<std::int64_t>(*status) : std::nullopt;
}
inline std::optional<std::int64_t> program_pid(ProcessControl& control) {
    const std::optional<pid_t> pid = control.pid();
    return pid ? std::optional<std::int64_t>(*pid) : std::nullopt;
}
inline std::string program_text(ProcessControl& control) { return control.text(); }
inline std::string program_label(ProcessControl& control) { return control.name(); }
inline std::int64_t program_sentinel(ProcessControl& control) { return control.sentinel(); }

}  // namespace multiprocessing::detail::pythons::extension
