// multiprocessing/synchronize/barrier_action.ipp
//
// How a process runs a barrier's action that it only has as a message: see barrier_action.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/synchronize/barrier_action.hpp"

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void run_portable_action(const void* message) {
    PayloadReader reader(message);
    InputArchive& archive = reader.archive();
    archive.keep_message();  // the next round reads it again
    archive.read<ActionReceiver>()(archive);
}

}  // namespace multiprocessing::detail
