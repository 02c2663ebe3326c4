// multiprocessing/start_method/fork_server/state.ipp
//
// How the family's record of its fork server is made: see state.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/start_method/fork_server/state.hpp"

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE ForkServerState& fork_server_state() {
    std::atomic<Offset>& place = heap().fork_server();
    Offset known = place.load(std::memory_order_acquire);
    if (known != 0) return *heap().at<ForkServerState>(known);
    void* const fresh = allocate_zeroed(sizeof(ForkServerState));
    if (place.compare_exchange_strong(known, heap().offset_of(fresh))) {
        return *static_cast<ForkServerState*>(fresh);
    }
    deallocate(fresh);  // another one was faster
    return *heap().at<ForkServerState>(known);
}

}  // namespace multiprocessing::detail
