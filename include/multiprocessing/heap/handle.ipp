// multiprocessing/heap/handle.ipp
//
// The error of an empty handle: see handle.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/heap/handle.hpp"

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

[[gnu::noinline]] MULTIPROCESSING_INLINE void throw_empty_handle() {
    throw ValueError("this object is empty: it was moved to another one, or made by its default "
                     "constructor and never assigned to");
}

}  // namespace multiprocessing::detail
