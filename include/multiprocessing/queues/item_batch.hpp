// multiprocessing/queues/item_batch.hpp
//
// How a range of values becomes a batch of a queue's items, and back. Plain, small values that lie
// side by side are copied straight into the queue. Others are serialised before the queue is
// locked, and read after it is released, each as in item.hpp. Floor 4. Start at put_items.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iterator>
#include <memory>
#include <new>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/queues/batch.hpp"
#include "multiprocessing/queues/item.hpp"
#include "multiprocessing/queues/queue_state.hpp"
#include "multiprocessing/reduction.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// A range whose elements can be put into a queue of T.
template <class Items, class T>
concept item_range_of = std::ranges::input_range<Items> &&
                        std::is_convertible_v<std::ranges::range_reference_t<Items>, const T&>;

/// A range of the very bytes that its items are.
template <class Items, class T>
concept plain_item_range_of =
    plain_item<T> && std::ranges::contiguous_range<Items> && std::ranges::sized_range<Items> &&
    std::is_same_v<std::ranges::range_value_t<Items>, T>;

/// Plain values, put from where they lie.
template <class T>
class PlainBatch final : public OutgoingBatch {
  public:
    PlainBatch(const T* first, std::size_t count) noexcept : next_(first), left_(count) {}

    [[nodiscard]] std::size_t left() const noexcept override { return left_; }
    [[nodiscard]] std::size_t size_of(std::uint32_t count) const noexcept override {
        return count * Record::size_with(sizeof(T));
    }
    RecordHead write(Record first, std::uint32_t count) noexcept override {
        constexpr RecordHead head = RecordHead::make(RecordKind::bytes, sizeof(T));
        first.fill(next_, sizeof(T));
        Record record = first;
        for (std::uint32_t i = 1; i < count; ++i) {
            record = record.next(sizeof(T));
            record.fill(next_ + i, sizeof(T));
            record.set_head(head.followed_by(count - 1 - i));
        }
        next_ += count;
        left_ -= count;
        return head.followed_by(count - 1);
    }

  private:
    const T* next_;
    std::size_t left_;
};

/// Serialises values. @throws what that throws
template <class T, class Items>
void serialise(SerialisedBatch& batch, Items& items) {
    for (auto&& element : items) {
        const T& item = element;
        if constexpr (plain_item<T>) {
            batch.add(std::addressof(item), sizeof(T));
        } else {
            PayloadBuilder message;
            message.archive()(item);
            batch.add(message);
        }
    }
}

/// Puts a batch. @returns how many items were put until the deadline @throws Full when none was
/// @param may_stop_short whether an error after the first item only ends it, as the deadline does
inline std::size_t put_batch(QueueState& queue, OutgoingBatch& batch, bool may_stop_short,
                             const Deadline& deadline) {
    const std::size_t count = batch.left();
    try {
        if (!queue.put_many(batch, deadline) && batch.left() == count) throw Full();
    } catch (...) {
        if (!may_stop_short || batch.left() == count) throw;
    }
    return count - batch.left();
}

/// Puts the values of a range, see put_batch.
template <class T, class Items>
std::size_t put_items(QueueState& queue, Items& items, bool may_stop_short,
                      const Deadline& deadline) {
    if constexpr (plain_item_range_of<Items, T>) {
        PlainBatch<T> batch(std::ranges::data(items), std::ranges::size(items));
        return put_batch(queue, batch, may_stop_short, deadline);
    } else {
        SerialisedBatch batch;
        serialise<T>(batch, items);
        return put_batch(queue, batch, may_stop_short, deadline);
    }
}

/// Whether the elements of a range may be moved from: it is a container that the caller gives away.
template <class Items, class T>
concept given_away = !std::is_lvalue_reference_v<Items> && !std::ranges::view<Items> &&
                     std::ranges::forward_range<Items> &&
                     std::is_same_v<std::ranges::range_reference_t<Items>, T&> &&
                     !std::is_trivially_destructible_v<T> && std::is_move_constructible_v<T>;

/// Drops the first `count` items of a range that the caller gives away.
template <class T, class Items>
void consume(Items& items, std::size_t count) {
    for (auto item = std::ranges::begin(items); count != 0; ++item, --count) {
        try {
            [[maybe_unused]] const T consumed(std::move(*item));
        } catch (...) {
            // It is in the queue, and an error would say that it is not: it stays here too.
        }
    }
}

/// Gives a vector room for `count` more items, growing as push_back lets it grow.
template <class T>
void reserve_more(std::vector<T>& items, std::size_t count) {
    const std::size_t needed = items.size() + count;
    if (needed > items.capacity()) items.reserve((std::max)(needed, 2 * items.capacity()));
}

/// Plain values, taken straight to the end of a vector.
template <class T>
class PlainIntake final : public IncomingBatch {
  public:
    PlainIntake(std::vector<T>& items, std::size_t most) noexcept : items_(items), most_(most) {}

    void make_room(std::size_t there) override {
        room_ = room_for(there, most_);
        reserve_more(items_, room_);
    }
    [[nodiscard]] std::size_t room() const noexcept override { return room_; }
    std::uint32_t take(Record& record) override {
        std::uint32_t taken = 0;
        for (; taken < room_ && record.head().is_item(); ++taken) {
            alignas(T) std::byte bytes[sizeof(T)];
            std::memcpy(bytes, record.content(), sizeof(T));
            items_.push_back(*std::launder(reinterpret_cast<const T*>(bytes)));
            record = record.next(sizeof(T));
        }
        room_ -= taken;
        return taken;
    }

  private:
    std::vector<T>& items_;
    std::size_t most_;
    std::size_t room_ = 0;
};

/// Items of any kind, with room for them in a vector.
template <class T>
class UnreadItems final : public UnreadBatch {
  public:
    UnreadItems(std::vector<T>& items, std::size_t most) noexcept
        : UnreadBatch(most), items_(items) {}

    void make_room(std::size_t there) override {
        UnreadBatch::make_room(there);
        reserve_more(items_, room());
    }

  private:
    std::vector<T>& items_;
};

/// Reads what was taken to the end of a vector.
/// @throws what reading throws, once all items that can be read are there
template <class T>
void read_batch(LooseRecords& records, std::vector<T>& items) {
    std::exception_ptr error;
    while (!records.empty()) {
        const IncomingItem item{records.head(), records.content()};
        records.release_first();  // what it refers to is freed by read_item
        try {
            items.push_back(read_item<T>(item));
        } catch (...) {
            if (!error) error = std::current_exception();
        }
    }
    if (error) std::rethrow_exception(error);
}

/// Takes values to the end of a vector. @returns whether there were any until the deadline
template <class T>
bool get_items(QueueState& queue, std::vector<T>& items, std::size_t most,
               const Deadline& deadline) {
    if constexpr (plain_item<T> && std::is_copy_constructible_v<T> && !std::is_same_v<T, bool>) {
        PlainIntake<T> batch(items, most);
        return queue.get_many(batch, deadline);
    } else {
        UnreadItems<T> batch(items, most);
        if (!queue.get_many(batch, deadline)) return false;
        read_batch(batch.records(), items);
        return true;
    }
}

}  // namespace multiprocessing::detail
