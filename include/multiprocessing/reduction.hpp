// multiprocessing/reduction.hpp
//
// How values, functions and exceptions reach another process. Mirrors CPython
// Lib/multiprocessing/reduction.py. Floor 2.
//
// Read in this order: reduction/archive.hpp (bytes), reduction/kind.hpp (what kinds of types there
// are), reduction/pickler.hpp (how each travels), reduction/picklable.hpp (what can),
// reduction/function_identity.hpp, reduction/callable.hpp, reduction/arguments.hpp,
// reduction/partial.hpp, reduction/payload.hpp (a message in the heap), reduction/exceptions.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/reduction/archive.hpp"
#include "multiprocessing/reduction/arguments.hpp"
#include "multiprocessing/reduction/callable.hpp"
#include "multiprocessing/reduction/exceptions.hpp"
#include "multiprocessing/reduction/function_identity.hpp"
#include "multiprocessing/reduction/partial.hpp"
#include "multiprocessing/reduction/payload.hpp"
#include "multiprocessing/reduction/picklable.hpp"
#include "multiprocessing/reduction/type_name.hpp"
