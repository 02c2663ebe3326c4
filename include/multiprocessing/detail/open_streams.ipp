// multiprocessing/detail/open_streams.ipp
//
// Flushing the streams of a program: see open_streams.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/open_streams.hpp"

#include <cstdio>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void flush_open_streams() noexcept {
#if defined(__GLIBC__)
    ::_IO_list_lock();
#endif
    for_each_open_stream([](std::FILE* stream) {
        if (!has_pending_output(stream) || ::ftrylockfile(stream) != 0) return;
        ::fflush_unlocked(stream);
        ::funlockfile(stream);
    });
#if defined(__GLIBC__)
    ::_IO_list_unlock();
#endif
}

}  // namespace multiprocessing::detail
