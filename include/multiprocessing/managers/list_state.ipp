// multiprocessing/managers/list_state.ipp
//
// How a list's tables are made, copied and replaced, and what is not done for each item: see
// list_state.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/managers/list_state.hpp"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "multiprocessing/detail/index.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/managers/content.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE ListTable& ListTable::make(std::size_t capacity) {
    if (capacity > PTRDIFF_MAX / sizeof(std::uint64_t)) throw std::bad_alloc();
    capacity = std::max<std::size_t>(capacity, 6);  // a block of 64 bytes
    auto* const table =
        new (allocate(sizeof(ListTable) + capacity * sizeof(std::uint64_t))) ListTable;
    table->capacity = capacity;
    table->size.store(0, std::memory_order_relaxed);
    return *table;
}

MULTIPROCESSING_INLINE void ListTable::append(std::span<const std::uint64_t> more) noexcept {
    const std::size_t at = length();
    if (!more.empty()) std::memcpy(words() + at, more.data(), more.size_bytes());
    size.store(at + more.size(), std::memory_order_release);
}

MULTIPROCESSING_INLINE void ListTable::append_shared(std::span<const std::uint64_t> more) noexcept {
    std::size_t at = length();
    for (const std::uint64_t word : more) set(at++, word, std::memory_order_relaxed);
    size.store(at, std::memory_order_release);  // commits, if it is the list's table
}

MULTIPROCESSING_INLINE ListState::ListState(const AnyHandle& manager_handle, bool blob_items)
    : ContainerState(object_kind, manager_handle, blob_items ? 1 : 0) {
    try {
        table = heap().offset_of(&ListTable::make(0));
    } catch (...) {
        leave_manager();
        throw;
    }
}

MULTIPROCESSING_INLINE OwnedWord ListState::erase(std::size_t index) {
    ListTable& now = current();
    const std::uint64_t word = now.words()[index];
    if (index + 1 == now.length()) {
        now.size.store(index, std::memory_order_release);  // commits
        note_taken_out();
    } else {
        edit(index, 1, {});
    }
    return {word, items_are_blobs()};
}

MULTIPROCESSING_INLINE void ListState::edit(std::size_t index, std::size_t count,
                                            std::span<const std::uint64_t> words) {
    const auto items = current().items();
    const std::size_t length = items.size() - count + words.size();
    ListTablePointer fresh(&ListTable::make(length + length / 8));
    fresh->append(items.first(index));
    fresh->append(words);
    fresh->append(items.subspan(index + count));
    flip(std::move(fresh));
}

MULTIPROCESSING_INLINE ListTablePointer ListState::flip(ListTablePointer fresh) noexcept {
    ListTablePointer old(&current());
    table.store(heap().offset_of(fresh.release()), std::memory_order_release);  // commits
    note_taken_out();
    return old;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void ListState::grow(std::size_t more) {
    ListTable& now = current();
    ListTablePointer fresh(&ListTable::make((std::max)(now.length() + more, 2 * now.length())));
    fresh->append(now.items());
    flip(std::move(fresh));
}

MULTIPROCESSING_INLINE void ListState::permute(const std::vector<std::uint64_t>& words) {
    ListTablePointer fresh(&ListTable::make(words.size()));
    fresh->append(words);
    flip(std::move(fresh));
}

MULTIPROCESSING_INLINE void ListState::destroy() noexcept {
    for (const std::uint64_t word : current().items()) OwnedWord(word, items_are_blobs());
    deallocate(&current());
    leave_manager();
}

MULTIPROCESSING_INLINE OwnedWord ListState::pop(std::ptrdiff_t index) {
    const ContainerLock<ListState> held(*this);
    if (length() == 0) throw IndexError("pop from empty list");
    return erase(place_of(index));
}

MULTIPROCESSING_INLINE std::vector<OwnedWord> ListState::slice(std::ptrdiff_t start,
                                                               std::ptrdiff_t stop) {
    std::vector<OwnedWord> words;
    const ContainerLock<ListState> held(*this);
    for (const std::uint64_t word : sliced(current().items(), start, stop)) {
        words.push_back(OwnedWord::copy_of(word, items_are_blobs()));
    }
    return words;
}

MULTIPROCESSING_INLINE void ListState::splice(std::ptrdiff_t start, std::ptrdiff_t stop,
                                              std::vector<OwnedWord>& words) {
    std::vector<std::uint64_t> raw;
    for (const auto& word : words) raw.push_back(word.get());
    std::vector<OwnedWord> old;  // dropped when the lock is released
    const ContainerLock<ListState> held(*this);
    const std::size_t first = clipped_bound(start, length());
    const auto replaced = sliced(current().items(), start, stop);
    old.reserve(replaced.size());
    const std::vector<std::uint64_t> replaced_words(replaced.begin(), replaced.end());
    if (replaced.empty() && first == length()) {
        if (current().capacity - length() < raw.size()) grow(raw.size());
        current().append_shared(raw);
    } else {
        edit(first, replaced.size(), raw);
    }
    for (auto& word : words) word.release();
    for (const std::uint64_t word : replaced_words) old.emplace_back(word, items_are_blobs());
}

MULTIPROCESSING_INLINE void ListState::reverse() {
    const ContainerLock<ListState> held(*this);
    const auto items = current().items();
    permute({items.rbegin(), items.rend()});
}

MULTIPROCESSING_INLINE std::string_view ListState::glance(std::vector<OwnedWord>& words,
                                                          std::size_t& number) {
    const Glance glance(*this);
    if (const auto why = glance.obstacle(); !why.empty()) return why;
    number = length();
    const auto items = current().items();
    for (const auto word : items.first((std::min)(number, most_items + 1))) {
        words.push_back(OwnedWord::copy_of(word, items_are_blobs()));
    }
    return {};
}

MULTIPROCESSING_INLINE void ListState::throw_out_of_range(std::ptrdiff_t index,
                                                          std::ptrdiff_t count) {
    throw IndexError("list index out of range: " + std::to_string(index) + " in a list of " +
                     std::to_string(count));
}

}  // namespace multiprocessing::detail
