// multiprocessing/managers/list_state.hpp
//
// A list in the family's heap: words in a row. It does not know the type of its items. Floor 6.
// Start at ListState.
//
// One store commits each change:
//   a new last item, or one less  the table's `size`
//   another value                 the word itself
//   all the rest                  the list's `table`, once a new one is made
// Others read while this goes on, see peek.hpp.
//
// The bytes of a table:
//      0  ListTable
//     16  u64 × capacity   the items, see word.hpp
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "multiprocessing/detail/stale.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/managers/container.hpp"
#include "multiprocessing/managers/peek.hpp"
#include "multiprocessing/managers/word.hpp"

namespace multiprocessing::detail {

/// The head of a table.
struct ListTable {
    std::uint64_t capacity;           //  0  how many items there is room for
    std::atomic<std::uint64_t> size;  //  8  how many there are

    /// Makes an empty one with room for at least `capacity` items. @throws std::bad_alloc
    static ListTable& make(std::size_t capacity);

    [[nodiscard]] std::size_t length() const noexcept {
        return size.load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t* words() noexcept {
        return reinterpret_cast<std::uint64_t*>(this + 1);
    }
    [[nodiscard]] std::span<std::uint64_t> items() noexcept { return {words(), length()}; }

    /// Sets a word of a table that others may be reading.
    void set(std::size_t index, std::uint64_t word, std::memory_order order) noexcept {
        std::atomic_ref(words()[index]).store(word, order);
    }

    /// Appends a word. @pre there is room
    void append(std::uint64_t word) noexcept {
        const std::size_t at = length();
        set(at, word, std::memory_order_relaxed);
        size.store(at + 1, std::memory_order_release);  // commits, if it is the list's table
    }
    /// Appends words. @pre there is room, and it is no list's table yet
    void append(std::span<const std::uint64_t> more) noexcept;
    /// The same to a table that others may be reading.
    void append_shared(std::span<const std::uint64_t> more) noexcept;
};
static_assert(sizeof(ListTable) == 16);

/// A table that belongs to no list. The counts that its items hold are not dropped with it.
struct FreeListTable {
    void operator()(ListTable* table) const noexcept { deallocate(table); }
};
using ListTablePointer = std::unique_ptr<ListTable, FreeListTable>;

/// A list. The caller holds the lock, see ContainerLock, except for the constructor and destroy(),
/// and for the functions at the end, which take it themselves where they need it.
struct ListState : ContainerState {
    static constexpr ObjectKind object_kind = ObjectKind::list;

    /// @throws std::bad_alloc
    ListState(const AnyHandle& manager_handle, bool blob_items);

    [[nodiscard]] bool items_are_blobs() const noexcept { return has_flag(1); }

    [[nodiscard]] ListTable& current() const noexcept {
        return *heap().at<ListTable>(table.load(std::memory_order_relaxed));
    }

    [[nodiscard]] std::size_t length() const noexcept { return current().length(); }

    /// Returns the place that an index means: a negative one counts from the end.
    /// @throws IndexError when there is no such item
    [[nodiscard]] std::size_t place_of(std::ptrdiff_t index) const {
        return place_in(length(), index);
    }
    /// The same in a list of `length` items.
    static std::size_t place_in(std::size_t length, std::ptrdiff_t index) {
        const auto count = static_cast<std::ptrdiff_t>(length);
        const std::ptrdiff_t place = index < 0 ? index + count : index;
        if (place < 0 || place >= count) [[unlikely]]
            throw_out_of_range(index, count);
        return static_cast<std::size_t>(place);
    }

    /// Gives an item another value. @returns the old one
    OwnedWord replace(std::size_t index, OwnedWord value) noexcept {
        const std::uint64_t old = current().words()[index];
        current().set(index, value.release(), std::memory_order_release);  // commits
        if (items_are_blobs()) note_taken_out();
        return {old, items_are_blobs()};
    }

    /// Puts an item at the end. @throws std::bad_alloc; then nothing has changed
    void append(OwnedWord value) {
        if (current().length() == current().capacity) grow(1);
        current().append(value.release());
    }

    /// Takes an item out. @returns it @throws std::bad_alloc; then nothing has changed
    OwnedWord erase(std::size_t index);

    /// Puts `words` in the place of `count` items from `index` on. The words are the list's then.
    /// @throws std::bad_alloc; then nothing has changed
    void edit(std::size_t index, std::size_t count, std::span<const std::uint64_t> words);

    /// Makes `fresh` the list's table. @returns the old one
    ListTablePointer flip(ListTablePointer fresh) noexcept;

    /// Makes room for more items. @throws std::bad_alloc
    void grow(std::size_t more);

    /// Gives the items another order. @param words all of them @throws std::bad_alloc
    void permute(const std::vector<std::uint64_t>& words);

    /// After a kill there is nothing to count: a table knows its size.
    void recount() noexcept {}

    void destroy() noexcept;

    // --- without the lock, or with it where that must be ---

    /// Reads an item. @tparam Value a ReadValue @throws IndexError when there is no such item
    template <class Value>
    void read(std::ptrdiff_t index, Value& value) {
        check_readable();
        for (int tries = Peek::tries(); tries > 0; --tries) {
            const Peek peek(*this);
            ListTable& now = peeked_table();
            const auto length = stale_load<std::uint64_t>(&now.size);
            if (!peek.is_true()) continue;
            const std::uint64_t* const item =
                now.words() + place_in(static_cast<std::size_t>(length), index);
            const auto word = stale_load<std::uint64_t>(item);
            const Sight sight = value.read(word, peek);
            note_taken_over(&now.size);
            note_taken_over(item);
            if (sight == Sight::yes) return;
            if (sight == Sight::unclear) continue;
            const ContainerLock<ListState> held(*this);
            if (!peek.is_true()) continue;
            return value.keep(OwnedWord::copy_of(word, true));
        }
        read_locked(index, value);
    }
    /// The same, for items that must be counted in any case: those that are handles.
    template <class Value>
    void read_locked(std::ptrdiff_t index, Value& value) {
        const ContainerLock<ListState> held(*this);
        value.keep(OwnedWord::copy_of(current().words()[place_of(index)], items_are_blobs()));
    }

    /// Returns how many items there are.
    [[nodiscard]] std::size_t read_length() {
        check_readable();
        for (int tries = Peek::tries(); tries > 0; --tries) {
            const Peek peek(*this);
            ListTable& now = peeked_table();
            const auto length = stale_load<std::uint64_t>(&now.size);
            note_taken_over(&now.size);
            if (peek.is_true()) return static_cast<std::size_t>(length);
        }
        const ContainerLock<ListState> held(*this);
        return length();
    }

    // --- with the lock, which they take themselves ---

    /// Takes an item out. @returns it
    /// @throws IndexError when the list is empty, or the index is out of range
    OwnedWord pop(std::ptrdiff_t index);
    /// Returns the words of the items from `start` to `stop`, the bounds clipped as in Python.
    [[nodiscard]] std::vector<OwnedWord> slice(std::ptrdiff_t start, std::ptrdiff_t stop);
    /// Puts `words` in the place of the items from `start` to `stop`, the bounds clipped as in
    /// Python. The words are the list's then. @throws std::bad_alloc; then nothing has changed
    void splice(std::ptrdiff_t start, std::ptrdiff_t stop, std::vector<OwnedWord>& words);
    /// Turns the order of the items round, in one step. @throws std::bad_alloc
    void reverse();
    /// Appends the first items to `words`: what there is to print, and one more.
    /// @param number where to write how many items there are
    /// @returns why they cannot be seen; empty when they can
    std::string_view glance(std::vector<OwnedWord>& words, std::size_t& number);

  private:
    [[nodiscard]] ListTable& peeked_table() const noexcept {
        // acquire: pairs with flip, so that a new table is seen with its content.
        return *heap().at_covered<ListTable>(table.load(std::memory_order_acquire));
    }

    [[noreturn, gnu::cold]] static void throw_out_of_range(std::ptrdiff_t index,
                                                           std::ptrdiff_t count);
};
static_assert(sizeof(ListState) <= 64);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/managers/list_state.ipp"
#endif
