// multiprocessing/synchronize.hpp
//
// Locks between the processes of a family, and ways for them to wait for each other: Lock, RLock,
// Semaphore, BoundedSemaphore, Condition, Event, Barrier. All are handles on an object in the
// shared heap. The death of a process leaves none of them blocked or corrupt. Mirrors CPython
// Lib/multiprocessing/synchronize.py. Floor 2.
//
// Read in this order: synchronize/gate.hpp (waiting), synchronize/lock_word.hpp (a lock that knows
// its holder), synchronize/lock.hpp, then the others. synchronize/format.hpp (for fmt) is included
// when fmt was included before. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/synchronize/barrier.hpp"
#include "multiprocessing/synchronize/condition.hpp"
#include "multiprocessing/synchronize/event.hpp"
#include "multiprocessing/synchronize/lock.hpp"
#include "multiprocessing/synchronize/semaphore.hpp"

#ifdef FMT_FORMAT_H_  // fmt/format.h
#include "multiprocessing/synchronize/format.hpp"
#endif
