// multiprocessing/sharedctypes/format.hpp
//
// fmt prints values and arrays as Python's repr does, and v.value and a[i] as the values that they
// are. sharedctypes.hpp includes this file when fmt was included before, see
// detail/format.hpp. Floor 4. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/format.hpp"
#include "multiprocessing/sharedctypes/array.hpp"
#include "multiprocessing/sharedctypes/raw_array.hpp"
#include "multiprocessing/sharedctypes/value.hpp"
