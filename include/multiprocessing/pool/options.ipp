// multiprocessing/pool/options.ipp
//
// Which pool options are refused: see options.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/options.hpp"

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void check_options(const PoolOptions& options) {
    if (options.processes < 1) throw ValueError("Number of processes must be at least 1");
    if (options.maxtasksperchild < 0) {
        throw ValueError("maxtasksperchild must be at least 1, or 0 for no limit");
    }
    if (options.retries < 0) throw ValueError("retries must be at least 0");
    if (options.buffersize < 0) throw ValueError("buffersize must be at least 1, or 0");
    if (options.traced < 0) throw ValueError("traced must be at least 0");
}

}  // namespace multiprocessing::detail
