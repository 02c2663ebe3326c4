// multiprocessing/shared_objects.hpp
//
// Objects of any shareable type in shared memory: Shared, Boost's containers in the family's heap
// (shared::vector, shared::map, …), and the allocator behind them. Python has nothing like it; a
// manager's dict and list come nearest. Floor 4. multiprocessing.hpp does not include this header,
// because Boost's containers take a second to parse.
//
// Read in this order: shared_objects/containers.hpp (the containers), shared_objects/shareable.hpp
// (what can be shared), shared_objects/shared.hpp (Shared), shared_objects/state.hpp (its bytes).
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/shared_objects/allocator.hpp"
#include "multiprocessing/shared_objects/containers.hpp"
#include "multiprocessing/shared_objects/guard.hpp"
#include "multiprocessing/shared_objects/shareable.hpp"
#include "multiprocessing/shared_objects/shared.hpp"

#ifdef FMT_FORMAT_H_  // fmt/format.h
#include "multiprocessing/shared_objects/format.hpp"
#endif
