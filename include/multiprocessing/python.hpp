// multiprocessing/python.hpp
//
// Functions of Python in C++ programs and their workers: python::function, import, Error; and whole
// programs of Python as processes: python::Process. A libpython is loaded when the first function
// is called. Nothing is linked, and one program runs with any Python from 3.8 on. Floor 10. Start
// at python/function.hpp.
//
// Read on in python/interpreter.hpp (the interpreter of a process, and forks), python/finder.hpp
// (which Python it is), python/values.hpp, containers.hpp and arrays.hpp (values), python/views.hpp
// (shared memory), python/process.hpp (programs of Python) and python/extension/ (the module that
// these import). python/host.hpp is a header of its own: programs of Python that others start.
//
// It is no part of multiprocessing.hpp, and header-only also where the library is compiled once.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/python/error.hpp"
#include "multiprocessing/python/function.hpp"
#include "multiprocessing/python/process.hpp"
#include "multiprocessing/remote/pickle/pickle.hpp"

#ifdef FMT_FORMAT_H_  // fmt/format.h
#include "multiprocessing/detail/format.hpp"
#endif
