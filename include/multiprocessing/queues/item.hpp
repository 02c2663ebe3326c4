// multiprocessing/queues/item.hpp
//
// How a value becomes an item of a queue, and back. A plain, small value is put as its bytes. Any
// other is put as a message: in the record when the message is small and has no handles, else in a
// block of its own. A value is serialised before the queue is locked, and read after it is
// released. Floor 4. Start at put_item. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>

#include "multiprocessing/queues/queue_state.hpp"
#include "multiprocessing/reduction.hpp"
#include "multiprocessing/reduction/archive/payload.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// An item of T is the bytes of the value.
template <class T>
concept plain_item = bitwise<T> && sizeof(T) <= largest_inline;

/// Puts a message, which it uses up. @returns false when there was no room until the deadline
bool put_message(QueueState& queue, PayloadBuilder& message, bool block, Timeout timeout);

/// Puts a value. @returns false when there was no room until the deadline
template <class T>
bool put_item(QueueState& queue, const T& value, bool block, Timeout timeout) {
    if constexpr (plain_item<T>) {
        return queue.put({RecordHead::make(RecordKind::bytes, sizeof(T)), std::addressof(value)},
                         block, timeout);
    } else {
        PayloadBuilder message;
        message.archive()(value);
        return put_message(queue, message, block, timeout);
    }
}

/// Reads the value of an item that was taken.
template <class T>
T read_item(const IncomingItem& item) {
    if (item.head.kind() == RecordKind::bytes) {
        InputArchive archive(item.bytes.first(item.head.size()));
        return archive.read<T>();
    }
    Offset offset = 0;
    std::memcpy(&offset, item.bytes.data(), sizeof(offset));
    const Payload payload(heap().at(offset));
    return PayloadReader(payload.get()).archive().template read<T>();
}

/// Takes a value out. @returns nothing when there was none until the deadline
template <class T>
std::optional<T> get_item(QueueState& queue, bool block, Timeout timeout) {
    alignas(T) std::byte bytes[plain_item<T> ? sizeof(T) : largest_inline];
    IncomingItem item{{}, bytes};
    if (!queue.get(item, block, timeout)) return std::nullopt;
    if constexpr (plain_item<T> && std::is_copy_constructible_v<T> && !std::is_same_v<T, bool>) {
        return *std::launder(reinterpret_cast<T*>(bytes));
    } else {
        return read_item<T>(item);
    }
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/queues/item.ipp"
#endif
