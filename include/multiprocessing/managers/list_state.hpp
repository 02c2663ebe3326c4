// multiprocessing/managers/list_state.hpp
//
// A list in the family's heap: words in a row. It knows nothing of the type of its items. Floor 6.
// Start at ListState.
//
// Every change is committed by one store: a new last item by the table's `size`, another value by
// the word itself, all the rest by the list's `table`, once a new one is made.
//
// The bytes of a table:
//      0  ListTable
//     16  u64 × capacity   the items, see word.hpp
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <utility>

#include "multiprocessing/heap.hpp"
#include "multiprocessing/managers/container.hpp"
#include "multiprocessing/managers/word.hpp"

namespace multiprocessing::detail {

struct ListTable {
    std::uint64_t capacity;
    std::atomic<std::uint64_t> size;

    /// Makes an empty one. @throws std::bad_alloc
    static ListTable& make(std::size_t capacity) {
        if (capacity > PTRDIFF_MAX / sizeof(std::uint64_t)) throw std::bad_alloc();
        capacity = std::max<std::size_t>(capacity, 6);  // a block of 64 bytes
        auto* const table =
            new (allocate(sizeof(ListTable) + capacity * sizeof(std::uint64_t))) ListTable;
        table->capacity = capacity;
        table->size.store(0, std::memory_order_relaxed);
        return *table;
    }

    [[nodiscard]] std::size_t length() const noexcept {
        return size.load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t* words() noexcept {
        return reinterpret_cast<std::uint64_t*>(this + 1);
    }
    [[nodiscard]] std::span<std::uint64_t> items() noexcept { return {words(), length()}; }

    /// Appends a word. @pre there is room
    void append(std::uint64_t word) noexcept {
        const std::size_t at = length();
        words()[at] = word;
        size.store(at + 1, std::memory_order_release);  // commits, should it be the list's
    }
    void append(std::span<const std::uint64_t> more) noexcept {
        const std::size_t at = length();
        if (!more.empty()) std::memcpy(words() + at, more.data(), more.size_bytes());
        size.store(at + more.size(), std::memory_order_release);
    }
};
static_assert(sizeof(ListTable) == 16);

struct FreeListTable {
    void operator()(ListTable* table) const noexcept { deallocate(table); }
};
using ListTablePointer = std::unique_ptr<ListTable, FreeListTable>;

/// A list. All but the constructor and destroy() need the lock, see ContainerLock.
struct ListState : ContainerState {
    static constexpr ObjectKind object_kind = ObjectKind::list;
    std::uint32_t items_are_blobs;  // 56

    ListState(const AnyHandle& manager_handle, bool blob_items)
        : ContainerState(object_kind, manager_handle), items_are_blobs(blob_items) {
        try {
            table = heap().offset_of(&ListTable::make(0));
        } catch (...) {
            leave_manager();
            throw;
        }
    }

    [[nodiscard]] ListTable& current() const noexcept {
        return *heap().at<ListTable>(table.load(std::memory_order_relaxed));
    }

    /// Gives an item another value. @returns the old one
    OwnedWord replace(std::size_t index, OwnedWord value) noexcept {
        std::atomic_ref<std::uint64_t> item(current().words()[index]);
        const std::uint64_t old = item.load(std::memory_order_relaxed);
        item.store(value.release(), std::memory_order_release);  // commits
        return {old, items_are_blobs != 0};
    }

    void append(OwnedWord value) {
        if (current().length() == current().capacity) grow(1);
        current().append(value.release());
    }

    /// Takes an item out.
    OwnedWord erase(std::size_t index) {
        ListTable& now = current();
        const std::uint64_t word = now.words()[index];
        if (index + 1 == now.length()) {
            now.size.store(index, std::memory_order_release);  // commits
        } else {
            edit(index, 1, {});
        }
        return {word, items_are_blobs != 0};
    }

    /// Puts `words` in the place of `count` items from `index` on. They are the list's then.
    void edit(std::size_t index, std::size_t count, std::span<const std::uint64_t> words) {
        const auto items = current().items();
        const std::size_t length = items.size() - count + words.size();
        ListTablePointer fresh(&ListTable::make(length + length / 8));
        fresh->append(items.first(index));
        fresh->append(words);
        fresh->append(items.subspan(index + count));
        flip(std::move(fresh));
    }

    /// Makes `fresh` the list's table. @returns the old one
    ListTablePointer flip(ListTablePointer fresh) noexcept {
        ListTablePointer old(&current());
        table.store(heap().offset_of(fresh.release()), std::memory_order_release);  // commits
        return old;
    }

    /// Makes room for more items.
    [[gnu::noinline]] void grow(std::size_t more) {
        ListTable& now = current();
        ListTablePointer fresh(&ListTable::make(std::max(now.length() + more, 2 * now.length())));
        fresh->append(now.items());
        flip(std::move(fresh));
    }

    /// After a kill there is nothing to count: a table knows its size.
    void recount() noexcept {}

    void destroy() noexcept {
        for (const std::uint64_t word : current().items()) OwnedWord(word, items_are_blobs != 0);
        deallocate(&current());
        leave_manager();
    }
};
static_assert(sizeof(ListState) <= 64);

}  // namespace multiprocessing::detail
