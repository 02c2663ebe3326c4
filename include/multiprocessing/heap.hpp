// multiprocessing/heap.hpp
//
// The shared heap of a family of processes: one anonymous memory segment that every process maps,
// an allocator that survives kill -9 at any instruction, counted handles, and the table of
// processes. Mirrors CPython Lib/multiprocessing/heap.py. Floor 1.
//
// Read in this order: heap/segment.hpp (the memory), heap/allocator.hpp (blocks), heap/family.hpp
// (processes), heap/shared_heap.hpp (this process's view of the three), heap/handle.hpp (objects).
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/allocator.hpp"
#include "multiprocessing/heap/family.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/heap/segment.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
