// multiprocessing/python/finder.hpp
//
// Where the Python is that this program uses. Floor 10. Start at find_python.
// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace multiprocessing::detail::pythons {

/// An interpreter, and the library that it is made of.
struct Location {
    std::string library;  // the path of a libpython3.N.so
    std::string program;  // what becomes sys.executable; empty where only the library is known
};

/// Returns the Python that MULTIPROCESSING_PYTHON names (an interpreter or a libpython), else that
/// of the activated virtual environment, else the python3 in PATH.
/// @throws RuntimeError when there is none, or it has no libpython; it names the package to install
Location find_python();

/// Returns the interpreter of that Python, whether it has a libpython or not.
/// @throws RuntimeError when there is none
std::string find_interpreter();

}  // namespace multiprocessing::detail::pythons

#include "multiprocessing/python/finder.ipp"
