// multiprocessing/shared_memory/format.hpp
//
// fmt prints blocks and lists as Python's repr does. shared_memory.hpp includes this file when fmt
// was included before, see detail/format.hpp. Floor 4. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/format.hpp"
#include "multiprocessing/shared_memory/block.hpp"
#include "multiprocessing/shared_memory/shareable_list.hpp"
