// What the tests of python.hpp share: whether there is a Python, and their module of it.
// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>
#include <multiprocessing/futures.hpp>
#include <multiprocessing/python.hpp>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/pool/support.hpp"

/// Python lives until the process ends, and keeps what it has where LeakSanitizer does not look.
extern "C" [[gnu::used]] inline const char* __lsan_default_suppressions() {
    return "leak:libpython3";
}

namespace support {

/// Where the build puts the module multiprocessing_cpp: beside the folder of the tests' programs.
inline const std::string module_folder =
    std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "python";

/// Where the scripts and modules of these tests are.
inline const std::string folder = std::filesystem::path(__FILE__).parent_path();

/// Lets every process of the test find functions.py and multiprocessing_cpp, before any of them
/// makes an interpreter.
inline const bool module_is_in_path = [] {
    ::setenv("PYTHONPATH", (folder + ":" + module_folder).c_str(), 1);
    ::setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
    return true;
}();

/// Says whether Python can be used here; where not, why. A case is left out then.
inline bool there_is_python() {
    static const std::string reason = [] {
        try {
            mp::python::import("functions");
            return std::string();
        } catch (const mp::RuntimeError& error) {
            return std::string(error.what());
        }
    }();
    if (!reason.empty()) WARN("not tested: " << reason);
    return reason.empty();
}

/// Says whether scripts can be run that import multiprocessing_cpp; where not, why.
inline bool there_is_module() {
    static const std::string reason = [] {
        try {
            static_cast<void>(mp::detail::pythons::find_interpreter());
        } catch (const mp::RuntimeError& error) {
            return std::string(error.what());
        }
        const bool is_built =
            std::filesystem::exists(module_folder + "/multiprocessing_cpp.abi3.so");
        return std::string(is_built ? "" : "multiprocessing_cpp is not built in " + module_folder);
    }();
    if (!reason.empty()) WARN("not tested: " << reason);
    return reason.empty();
}

/// The script of the tests of python::Process.
inline const std::string worker = folder + "/worker.py";

/// A process that runs a function of it.
template <class... Args>
mp::python::Process started(const std::string& function, const Args&... arguments) {
    mp::python::Process process(worker, function, arguments...);
    process.start();
    return process;
}

/// Whatever Python puts in.
using Objects = mp::Queue<mp::pickle::object>;

/// The next item, which comes from a python3 that may take long to start.
template <class Queue>
mp::pickle::object next(const Queue& queue) {
    return queue.get(true, 100);
}

/// The function of the module functions.
template <class Signature>
mp::python::function<Signature> in_python(const std::string& name) {
    return mp::python::function<Signature>("functions:" + name);
}

/// What an expression of Python is as a T.
template <class T>
T made(const std::string& expression) {
    return in_python<T(std::string)>("make")(expression);
}

}  // namespace support

using support::in_python;
using support::made;
using support::there_is_module;
using support::there_is_python;
