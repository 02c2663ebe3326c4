// multiprocessing.hpp
//
// All of the library: process parallelism for C++ with the interface of Python's multiprocessing.
//
//     #include <multiprocessing.hpp>
//     namespace mp = multiprocessing;
//
// One header a module, under multiprocessing/. Each names its floor: it includes only lower ones.
// Floor 8.
// SPDX-License-Identifier: MIT
#pragma once

// First: compile errors name each header on the way to the one with the advice, and this is the
// shortest way to it.
#include "multiprocessing/reduction.hpp"
#include "multiprocessing/sharedctypes.hpp"

#include "multiprocessing/managers.hpp"

#include "multiprocessing/connection.hpp"
#include "multiprocessing/context.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/futures.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/pool.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/queues.hpp"
#include "multiprocessing/shared_memory.hpp"
#include "multiprocessing/start_method/fork.hpp"
#include "multiprocessing/start_method/forkserver.hpp"
#include "multiprocessing/start_method/spawn.hpp"
#include "multiprocessing/synchronize.hpp"
#include "multiprocessing/timeout.hpp"
#include "multiprocessing/util.hpp"

// Last: they include fmt, and where fmt was included before, the others include their formatters,
// which who only logs should not pay for.
#include "multiprocessing/dummy.hpp"
#include "multiprocessing/log_handlers.hpp"
#include "multiprocessing/logging.hpp"

/// Process parallelism for C++ with the interface of Python's `multiprocessing`.
namespace multiprocessing {

/// The version of the library, as major * 10000 + minor * 100 + patch.
inline constexpr int version = 100;

}  // namespace multiprocessing
