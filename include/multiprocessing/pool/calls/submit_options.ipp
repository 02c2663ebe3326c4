// multiprocessing/pool/calls/submit_options.ipp
//
// What a call is refused with: see submit_options.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/calls/submit_options.hpp"

#include <string>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void throw_no_place(std::size_t most) {
    throw Full("as many calls wait for a worker as max_pending allows (" + std::to_string(most) +
               "), and none of them was begun in time");
}

}  // namespace multiprocessing::detail
