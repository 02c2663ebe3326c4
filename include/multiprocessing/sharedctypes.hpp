// multiprocessing/sharedctypes.hpp
//
// Objects and arrays of plain types in shared memory: Value, Array, RawValue, RawArray, typecode.
// Mirrors CPython Lib/multiprocessing/sharedctypes.py. Floor 4. Start at sharedctypes/value.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/sharedctypes/array.hpp"
#include "multiprocessing/sharedctypes/raw_array.hpp"
#include "multiprocessing/sharedctypes/typecode.hpp"
#include "multiprocessing/sharedctypes/value.hpp"

#ifdef FMT_FORMAT_H_  // fmt/format.h
#include "multiprocessing/sharedctypes/format.hpp"
#endif
