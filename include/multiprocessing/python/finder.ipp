// multiprocessing/python/finder.ipp
//
// How Python is found, see finder.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/python/finder.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail::pythons {

inline std::string environment(const char* name) {
    const char* const value = std::getenv(name);
    return value != nullptr ? value : "";
}

inline bool is_there(const std::filesystem::path& path) {
    std::error_code error;
    return std::filesystem::is_regular_file(path, error);
}

/// Returns the program of this name in PATH, or nothing.
inline std::string in_path(const std::string& name) {
    if (name.find('/') != std::string::npos) return is_there(name) ? name : "";
    std::istringstream folders(environment("PATH"));
    for (std::string folder; std::getline(folders, folder, ':');) {
        const auto path = std::filesystem::path(folder.empty() ? "." : folder) / name;
        if (is_there(path) && ::access(path.c_str(), X_OK) == 0) return path.string();
    }
    return {};
}

// An interpreter tells where its library should be, and first the name of it. sysconfig knows the
// folder; where Python was moved to another one, the library is below its prefix.
inline constexpr const char* ask_for_library = R"py(
import os, sys, sysconfig
name = "libpython%d.%d%s.so.1.0" % (sys.version_info[0], sys.version_info[1], getattr(sys, "abiflags", ""))
folders = [sysconfig.get_config_var("LIBDIR") or "", os.path.join(sys.base_prefix, "lib"), "/usr/lib"]
machine = sysconfig.get_config_var("MULTIARCH") or ""
paths = [os.path.join(f, m, name) for f in folders for m in ("", machine)]
print(name)
print(next((path for path in paths if os.path.isfile(path)), ""))
print(sys.executable)
)py";

/// Runs a program of Python, and returns the lines that it prints; none when it cannot be run.
inline std::vector<std::string> lines_from(const std::string& program, const char* source) {
    int ends[2];
    checked(::pipe2(ends, O_CLOEXEC), "pipe2");
    const Descriptor read(ends[0]);
    Descriptor write(ends[1]);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, write.get(), STDOUT_FILENO);
    // Whoever waits for it may be killed, and a program that fails is told below.
    ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    const char* const argv[] = {program.c_str(), "-I", "-S", "-c", source, nullptr};
    pid_t pid = 0;
    const int error = ::posix_spawn(&pid, program.c_str(), &actions, nullptr,
                                    const_cast<char* const*>(argv), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) return {};
    write = Descriptor();
    std::string output;
    char buffer[1024];
    while (true) {
        const ssize_t size =
            retry_on_eintr([&] { return ::read(read.get(), buffer, sizeof(buffer)); });
        if (size <= 0) break;
        output.append(buffer, static_cast<std::size_t>(size));
    }
    retry_on_eintr([&] { return ::waitpid(pid, nullptr, 0); });
    std::vector<std::string> lines;
    std::istringstream stream(output);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

/// Returns the library of an interpreter that lies where its name and folder tell it; else nothing.
/// To ask the interpreter itself takes 20 ms and more, in each process that is not forked.
inline std::string library_beside(const std::string& program) {
    std::error_code error;
    const std::filesystem::path real = std::filesystem::canonical(program, error);
    const std::string name = real.filename().string();
    if (error || !name.starts_with("python3.")) return {};
    const std::filesystem::path prefix = real.parent_path().parent_path();
    const std::string library = "lib" + name + ".so.1.0";
#if defined(__aarch64__)
    constexpr const char* machine = "lib/aarch64-linux-gnu";
#else
    constexpr const char* machine = "lib/x86_64-linux-gnu";
#endif
    for (const char* folder : {machine, "lib", "lib64"}) {
        if (is_there(prefix / folder / library)) return (prefix / folder / library).string();
    }
    return {};
}

/// Returns the interpreter that belongs to a library: below the same prefix, of the same version.
inline std::string program_beside(const std::string& library) {
    const std::filesystem::path path(library);
    std::string name = path.filename().string();
    name = name.substr(0, name.find(".so"));
    if (!name.starts_with("libpython3")) return {};
    name = name.substr(std::strlen("lib"));
    for (auto folder = path.parent_path(); folder.has_relative_path();
         folder = folder.parent_path()) {
        if (is_there(folder / "bin" / name)) return (folder / "bin" / name).string();
    }
    return {};
}

inline Location location_of(const std::string& program) {
    const std::string beside = library_beside(program);
    if (!beside.empty()) return {beside, program};
    const auto lines = lines_from(program, ask_for_library);
    if (lines.size() < 3) {
        throw RuntimeError("mp::python: " + program +
                           " does not run, or is not a Python 3. Name another interpreter or a "
                           "libpython in MULTIPROCESSING_PYTHON");
    }
    if (lines[1].empty()) {
        const std::string package = lines[0].substr(0, lines[0].find(".so"));
        throw RuntimeError("mp::python: " + program + " is there, but its library " + lines[0] +
                           " is not: install " + package + " (Debian, Ubuntu: apt-get install " +
                           package +
                           "), or name another interpreter or a libpython in "
                           "MULTIPROCESSING_PYTHON");
    }
    // Not `program`: that may be a script in front of the interpreter, as pyenv's are.
    return {lines[1], lines[2]};
}

/// Returns what MULTIPROCESSING_PYTHON names, else the interpreter to use.
inline std::string find_program_or_library() {
    const std::string named = environment("MULTIPROCESSING_PYTHON");
    if (!named.empty()) {
        const std::string path = in_path(named);
        if (!path.empty()) return path;
        throw RuntimeError("mp::python: MULTIPROCESSING_PYTHON names " + named +
                           ", which is not there");
    }
    const std::string folder = environment("VIRTUAL_ENV");
    if (!folder.empty() && is_there(folder + "/bin/python3")) return folder + "/bin/python3";
    const std::string program = in_path("python3");
    if (!program.empty()) return program;
    throw RuntimeError(
        "mp::python: there is no python3 in PATH: install python3 and its library (Debian, "
        "Ubuntu: apt-get install python3 libpython3-dev), or name an interpreter or a "
        "libpython in MULTIPROCESSING_PYTHON");
}

inline bool is_library(const std::string& path) {
    return std::filesystem::path(path).filename().string().find(".so") != std::string::npos;
}

inline Location find_python() {
    const std::string path = find_program_or_library();
    if (is_library(path)) return {path, program_beside(path)};
    return location_of(path);
}

inline std::string find_interpreter() {
    const std::string path = find_program_or_library();
    if (!is_library(path)) return path;
    const std::string program = program_beside(path);
    if (!program.empty()) return program;
    throw RuntimeError("mp::python: MULTIPROCESSING_PYTHON names the library " + path +
                       ", and there is no interpreter beside it: name the interpreter instead");
}

}  // namespace multiprocessing::detail::pythons
