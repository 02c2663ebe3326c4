// multiprocessing/synchronize.hpp
//
// Locks between the processes of a family, and ways to wait for each other: Lock, RLock, Semaphore,
// BoundedSemaphore, Condition, Event, Barrier. All are handles on an object in the shared heap, and
// none is blocked or broken by the death of a process. Mirrors CPython
// Lib/multiprocessing/synchronize.py. Floor 2.
//
// Read in this order: synchronize/gate.hpp (waiting), synchronize/lock_word.hpp (a lock that knows
// its holder), synchronize/lock.hpp, then the others. synchronize/format.hpp (fmt) is included when
// fmt was. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/synchronize/barrier.hpp"
#include "multiprocessing/synchronize/condition.hpp"
#include "multiprocessing/synchronize/event.hpp"
#include "multiprocessing/synchronize/lock.hpp"
#include "multiprocessing/synchronize/semaphore.hpp"

#ifdef FMT_VERSION
#include "multiprocessing/synchronize/format.hpp"
#endif
