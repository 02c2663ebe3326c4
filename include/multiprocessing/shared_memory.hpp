// multiprocessing/shared_memory.hpp
//
// Memory with a name, shared by any programs, in C++ or in Python, also when they are not of one
// family: SharedMemory, ShareableList, SharedMemoryManager. Mirrors CPython
// Lib/multiprocessing/shared_memory.py. Floor 4. Start at shared_memory/block.hpp.
//
// Read on in shared_memory/shareable_list.hpp and shared_memory/list_layout.hpp (a list and its
// bytes), shared_memory/manager.hpp (who removes names). SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/shared_memory/block.hpp"
#include "multiprocessing/shared_memory/manager.hpp"
#include "multiprocessing/shared_memory/shareable_list.hpp"

#ifdef FMT_FORMAT_H_  // fmt/format.h
#include "multiprocessing/shared_memory/format.hpp"
#endif
