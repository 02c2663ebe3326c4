// multiprocessing/queues/batch.ipp
//
// Batches whose items are serialised: see batch.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/queues/batch.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/queues/record.hpp"
#include "multiprocessing/reduction/archive/payload.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE LooseRecords::~LooseRecords() {
    while (!empty()) {
        Offset target = 0;
        if (head().kind() == RecordKind::payload) {
            std::memcpy(&target, content().data(), sizeof(target));
        }
        release_first();
        if (target != 0) destroy_payload(heap().at(target));
    }
}

MULTIPROCESSING_INLINE void LooseRecords::append(RecordHead head, const void* content) {
    const std::size_t place = bytes_.size();
    bytes_.resize(place + Record::size_with(head.size()));
    std::memcpy(bytes_.data() + place, &head, sizeof(head));
    if (head.size() != 0) {
        std::memcpy(bytes_.data() + place + sizeof(head), content, head.size());
    }
    ++count_;
}

MULTIPROCESSING_INLINE std::size_t LooseRecords::size_of(std::uint32_t count) const noexcept {
    if (count == count_) return bytes_.size() - first_;
    std::size_t place = first_;
    for (; count != 0; --count) place += Record::size_with(head_at(place).size());
    return place - first_;
}

MULTIPROCESSING_INLINE void SerialisedBatch::add(PayloadBuilder& message) {
    if (message.is_small() && message.content().size() <= largest_inline) {
        const auto content = message.content();
        return add(content.data(), content.size());
    }
    Payload payload(message.finish());
    const Offset offset = heap().offset_of(payload.get());
    records_.append(RecordHead::make(RecordKind::payload, sizeof(offset)), &offset);
    static_cast<void>(payload.release());
}

MULTIPROCESSING_INLINE RecordHead SerialisedBatch::write(Record first,
                                                         std::uint32_t count) noexcept {
    const RecordHead first_head = records_.head().followed_by(count - 1);
    Record record = first;
    while (count-- != 0) {
        const RecordHead head = records_.head();
        record.fill(records_.content().data(), head.size());
        if (record.place() != first.place()) record.set_head(head.followed_by(count));
        record = record.next(head.size());
        records_.release_first();
    }
    return first_head;
}

MULTIPROCESSING_INLINE std::uint32_t UnreadBatch::take(Record& record) {
    std::uint32_t taken = 0;
    try {
        for (; room_ != 0; ++taken, --room_) {
            const RecordHead head = record.head();
            if (!head.is_item()) break;
            records_.append(RecordHead::make(head.kind(), head.size()), record.content());
            record = record.next(head.size());
        }
    } catch (const std::bad_alloc&) {
        if (records_.empty()) throw;
        room_ = 0;  // what there is memory for has been taken
    }
    return taken;
}

}  // namespace multiprocessing::detail
