// multiprocessing/pool/tasks/batch.hpp
//
// How a call becomes a batch in the heap. The batch is a block with its chunks, and with those of
// its items and the places for those of its results that are plain bytes. A message has the
// function and the other items; it lies in the same block when it is small. Floor 5. Start at
// make_batch. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/pool/board/task_place.hpp"
#include "multiprocessing/pool/tasks/items.hpp"
#include "multiprocessing/pool/tasks/results.hpp"
#include "multiprocessing/pool/tasks/runner.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

/// Frees what a batch holds outside of its own block. @pre nobody runs or reads it any more
[[gnu::hot]] void discard_contents(Batch& batch) noexcept;

/// Gives the memory of a batch's plain items and results back, where it is worth a system call: the
/// block itself stays until no worker looks at it, and that may be only at the pool's next call.
void release_arrays(Batch& batch) noexcept;

/// Frees a batch that was not handed to the pool, so that an error on the way leaves nothing
/// behind.
struct BatchDeleter {
    std::uint32_t depth = fork_depth();

    void operator()(Batch* batch) const noexcept;
};
using BatchOwner = std::unique_ptr<Batch, BatchDeleter>;

/// The sizes of a batch's parts.
struct BatchShape {
    std::uint64_t items;
    std::uint32_t chunk_size;
    std::size_t item_size;    // 0: serialised
    std::size_t result_size;  // 0: none, or serialised
};

/// Room for a message in the batch's own block: one of a function and little with it.
constexpr std::size_t small_message = 256;  // bytes

/// Allocates a batch of that shape. Its items and its message are still to be filled in.
/// @throws std::bad_alloc; ValueError for too many chunks
[[gnu::hot]] BatchOwner allocate_batch(const BatchShape& shape);

/// Returns where in its block a batch's message is if it is small.
inline std::uint64_t place_of_message(const Batch& batch) noexcept {
    return sizeof(Batch) + batch.chunk_count() * sizeof(Chunk);
}
/// Returns the room in which the content of a message is written first. It can stay there if it is
/// small.
inline std::span<std::byte> room_for_message(Batch& batch) noexcept {
    return {batch.at<std::byte>(place_of_message(batch) + sizeof(PayloadHeader)),
            small_message - sizeof(PayloadHeader)};
}

/// Gives a batch the message that an archive would get from these two functions, if both belong to
/// the program itself. @returns whether they do
[[gnu::hot]] bool set_plain_message(Batch& batch, const void* factory, const void* function);

/// Gives a batch its message. @throws std::bad_alloc
void set_message(Batch& batch, OutputArchive& archive, PayloadRoom& room);

template <class T>
constexpr std::size_t plain_size() noexcept {
    if constexpr (std::is_void_v<T>) {
        return 0;
    } else {
        return bitwise<T> ? sizeof(T) : 0;
    }
}

/// Makes the batch that calls `f` for each item of `range`.
/// @param count how many items the range has
template <class F, class Item, bool spread, class Range>
[[gnu::hot]] BatchOwner make_batch(const F& f, Range&& range, std::uint64_t count,
                                   std::uint32_t chunk_size) {
    using Runner = TypedRunner<F, Item, spread>;
    BatchOwner batch = allocate_batch(
        {count, chunk_size, plain_size<Item>(), plain_size<typename Runner::Result>()});
    batch->function = function_mark(f);
    const auto for_each_item = [&](auto use) {
        std::uint64_t index = 0;
        for (auto&& element : range) {
            if (index == count) break;  // a range that grew meanwhile
            use(index, convert_item<F, Item, spread>(std::forward<decltype(element)>(element)));
            ++index;
        }
        if (index != count) throw ValueError("the range ended before the size it gave");
    };
    if constexpr (bitwise<Item>) {
        auto* const items = batch->at<Item>(batch->items);
        for_each_item(
            [items](std::uint64_t index, const Item& item) { new (items + index) Item(item); });
    }
    if constexpr (bitwise<Item> && std::is_pointer_v<F>) {
        // The usual call. It needs little of what an archive offers.
        const bool is_set =
            set_plain_message(*batch, reinterpret_cast<const void*>(Runner::receive),
                              reinterpret_cast<const void*>(f));
        if (is_set) return batch;
    }
    PayloadRoom room;
    OutputArchive archive(room.growth(), room_for_message(*batch));
    archive(RunnerFactory{Runner::receive}, f);
    if constexpr (!bitwise<Item>) {
        auto* const starts = batch->at<std::uint64_t>(batch->chunk_starts);
        for_each_item([&](std::uint64_t index, const Item& item) {
            if (index % chunk_size == 0) starts[index / chunk_size] = archive.size();
            write_sized(archive, item);
        });
    }
    set_message(*batch, archive, room);
    return batch;
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/tasks/batch.ipp"
#endif
