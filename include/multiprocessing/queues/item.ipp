// multiprocessing/queues/item.ipp
//
// How a message is put into a queue: see item.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/queues/item.hpp"

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/queues/queue_state.hpp"
#include "multiprocessing/reduction/archive/payload.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE bool put_message(QueueState& queue, PayloadBuilder& message, bool block,
                                        Timeout timeout) {
    if (message.is_small() && message.content().size() <= largest_inline) {
        const auto content = message.content();
        return queue.put({RecordHead::make(RecordKind::bytes, content.size()), content.data()},
                         block, timeout);
    }
    Payload payload(message.finish());
    const Offset offset = heap().offset_of(payload.get());
    const bool done =
        queue.put({RecordHead::make(RecordKind::payload, sizeof(offset)), &offset}, block, timeout);
    if (done) static_cast<void>(payload.release());  // whoever takes the item frees it
    return done;
}

}  // namespace multiprocessing::detail
