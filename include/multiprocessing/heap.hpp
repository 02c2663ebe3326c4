// multiprocessing/heap.hpp
//
// The shared heap of a family of processes: one anonymous memory segment that every process maps,
// an allocator that survives kill -9 at any instruction, counted handles, and the table of
// processes. Mirrors CPython Lib/multiprocessing/heap.py. Floor 1.
//
// Read in this order: heap/segment.hpp (the memory), heap/page_runs.hpp, heap/spans.hpp and
// heap/allocator.hpp (blocks), heap/family.hpp (processes), heap/shared_heap.hpp (this process's
// view of the three), heap/object.hpp (counted objects), heap/burial.hpp and heap/ledger.hpp (what
// a process holds, and how it is given back), heap/handle.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/allocator.hpp"
#include "multiprocessing/heap/burial.hpp"
#include "multiprocessing/heap/family.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/heap/inheritance.hpp"
#include "multiprocessing/heap/ledger.hpp"
#include "multiprocessing/heap/object.hpp"
#include "multiprocessing/heap/page_runs.hpp"
#include "multiprocessing/heap/segment.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
