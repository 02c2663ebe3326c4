// multiprocessing/futures.hpp
//
// ProcessPoolExecutor: a pool whose results are Futures. Mirrors CPython
// Lib/concurrent/futures/process.py and _base.py. Floor 6.
//
// Read on in futures/future.hpp, futures/waiting.hpp (several at once), futures/executor.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/futures/executor.hpp"
#include "multiprocessing/futures/future.hpp"
#include "multiprocessing/futures/waiting.hpp"
