// multiprocessing/reduction.hpp
//
// How values, functions and exceptions reach another process. Mirrors CPython
// Lib/multiprocessing/reduction.py. Floor 2.
//
// Read in this order: reduction/archive/archive.hpp (bytes), reduction/types/kind.hpp (what kinds
// of types there are), reduction/picklers/pickler.hpp (how each travels), reduction/picklable.hpp
// (what can), reduction/functions/function_identity.hpp, reduction/callables/callable.hpp,
// reduction/callables/arguments.hpp, reduction/callables/partial.hpp, reduction/archive/payload.hpp
// (a message in the heap), reduction/exceptions/exceptions.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/reduction/archive/archive.hpp"
#include "multiprocessing/reduction/archive/payload.hpp"
#include "multiprocessing/reduction/callables/arguments.hpp"
#include "multiprocessing/reduction/callables/callable.hpp"
#include "multiprocessing/reduction/callables/partial.hpp"
#include "multiprocessing/reduction/exceptions/exceptions.hpp"
#include "multiprocessing/reduction/functions/function_identity.hpp"
#include "multiprocessing/reduction/picklable.hpp"
#include "multiprocessing/reduction/types/type_name.hpp"
