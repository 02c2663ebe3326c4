// multiprocessing/pool/calls/interface.ipp
//
// What the calls of a pool are set up with by default: see interface.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/calls/interface.hpp"

#include <algorithm>

#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE StreamOptions stream_options(const StreamWish& wish, std::size_t buffersize,
                                                    std::uint32_t worker_count,
                                                    bool runs_in_caller) {
    if (wish.chunksize < 1) throw_bad_chunksize(wish.chunksize);
    if (wish.buffersize.value_or(1) < 1) {
        throw ValueError("buffersize must be at least 1");
    }
    const auto chunk_size = static_cast<std::size_t>(wish.chunksize);
    std::size_t window = std::max<std::size_t>(64, 8 * worker_count) * chunk_size;
    // A pool that runs in the caller does nothing ahead of time.
    if (runs_in_caller) window = chunk_size;
    if (buffersize != 0) window = buffersize;
    if (wish.buffersize) window = static_cast<std::size_t>(*wish.buffersize);
    return {chunk_size, window, wish.ordered, false};
}

MULTIPROCESSING_INLINE std::uint32_t default_chunk_size(std::uint64_t count,
                                                        std::uint32_t worker_count) noexcept {
    const std::uint64_t chunks = 4 * std::uint64_t{worker_count};
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>((count + chunks - 1) / chunks, INT32_MAX));
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void throw_bad_chunksize(int chunksize) {
    throw ValueError(joined({"Chunksize must be 1+, not ", chunksize}));
}

MULTIPROCESSING_INLINE std::uint32_t checked_worker_count(int workers) {
    if (workers < 1) throw ValueError("Number of processes must be at least 1");
    return static_cast<std::uint32_t>(workers);
}

MULTIPROCESSING_INLINE std::string pool_text(const char* name, const char* state, const char* count,
                                             std::uint32_t worker_count) {
    return std::string("<") + name + " state=" + state + " " + count + "=" +
           std::to_string(worker_count) + ">";
}

}  // namespace multiprocessing::detail
