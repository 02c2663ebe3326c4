// multiprocessing/managers/dict_state.ipp
//
// How a dict's tables are made, copied and replaced, and what is not done for each entry: see
// dict_state.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/managers/dict_state.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/managers/content.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE DictTable& DictTable::make(std::size_t entries) {
    const std::size_t slot_count =
        std::bit_ceil(std::max<std::size_t>(8, entries + entries / 2 + 1));
    if (slot_count > std::size_t{1} << 31) throw std::bad_alloc();
    const std::size_t capacity = slot_count / 3 * 2;
    const std::size_t index_at = sizeof(DictTable) + capacity * sizeof(DictEntry);
    auto* const table = new (allocate(index_at + slot_count * sizeof(std::uint32_t))) DictTable;
    table->capacity = static_cast<std::uint32_t>(capacity);
    table->slot_count = static_cast<std::uint32_t>(slot_count);
    table->used.store(0, std::memory_order_relaxed);
    table->filled = 0;
    std::memset(static_cast<void*>(table->index()), 0, slot_count * sizeof(std::uint32_t));
    return *table;
}

MULTIPROCESSING_INLINE DictState::DictState(const AnyHandle& manager_handle, bool blob_keys,
                                            bool blob_values)
    : ContainerState(object_kind, manager_handle,
                     static_cast<std::uint8_t>((blob_keys ? 1 : 0) | (blob_values ? 2 : 0))) {
    try {
        table = heap().offset_of(&DictTable::make(0));
    } catch (...) {
        leave_manager();
        throw;
    }
}

MULTIPROCESSING_INLINE DictState::Words DictState::erase(DictEntry& entry) noexcept {
    Words erased{{entry.key_word(), keys_are_blobs()}, {entry.value_word(), values_are_blobs()}};
    entry.hash.store(0, std::memory_order_release);  // commits
    note_taken_out();                                // before its place can be used again
    live().store(size() - 1, std::memory_order_relaxed);
    // So that popitem, which looks from the end, finds the last one at once.
    DictTable& now = current();
    std::uint32_t end = now.end();
    while (end > 0 && !now.entries()[end - 1].is_live()) --end;
    now.used.store(end, std::memory_order_relaxed);
    return erased;
}

MULTIPROCESSING_INLINE DictEntry* DictState::last() const noexcept {
    DictTable& now = current();
    for (std::uint32_t end = now.end(); end > 0; --end) {
        if (now.entries()[end - 1].is_live()) return &now.entries()[end - 1];
    }
    return nullptr;
}

MULTIPROCESSING_INLINE DictState::Words DictState::copy_of(const DictEntry& entry) const noexcept {
    return {OwnedWord::copy_of(entry.key_word(), keys_are_blobs()),
            OwnedWord::copy_of(entry.value_word(), values_are_blobs())};
}

MULTIPROCESSING_INLINE DictTable& DictState::copy_for(std::size_t entries) const {
    DictTable& fresh = DictTable::make(std::max<std::size_t>(entries, size()) * 3 / 2);
    for_each([&](const DictEntry& entry) {
        fresh.append(entry.hash.load(std::memory_order_relaxed), entry.key_word(),
                     entry.value_word());
    });
    return fresh;
}

MULTIPROCESSING_INLINE DictTable& DictState::flip(DictTable& fresh,
                                                  std::uint32_t entries) noexcept {
    DictTable& old = current();
    table.store(heap().offset_of(&fresh), std::memory_order_release);  // commits
    note_taken_out();
    live().store(entries, std::memory_order_relaxed);
    return old;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void DictState::rebuild(std::size_t entries) {
    deallocate(&flip(copy_for(entries), size()));
}

MULTIPROCESSING_INLINE std::uint32_t DictState::count() const noexcept {
    std::uint32_t entries = 0;
    for_each([&](const DictEntry&) { ++entries; });
    return entries;
}

MULTIPROCESSING_INLINE void DictState::recount() noexcept {
    DictTable& now = current();
    live().store(count(), std::memory_order_relaxed);
    now.filled = static_cast<std::uint32_t>(
        std::count_if(now.index(), now.index() + now.slot_count,
                      [](const auto& number) { return number.load() != 0; }));
}

MULTIPROCESSING_INLINE void DictState::drop_entries(DictTable& dropped) const noexcept {
    for (std::uint32_t i = 0; i < dropped.end(); ++i) {
        DictEntry& entry = dropped.entries()[i];
        if (!entry.is_live()) continue;
        OwnedWord(entry.key_word(), keys_are_blobs());
        OwnedWord(entry.value_word(), values_are_blobs());
    }
}

MULTIPROCESSING_INLINE void DictState::destroy() noexcept {
    drop_entries(current());
    deallocate(&current());
    leave_manager();
}

MULTIPROCESSING_INLINE DictState::Words DictState::popitem() {
    const ContainerLock<DictState> held(*this);
    DictEntry* const entry = last();
    if (entry == nullptr) throw KeyError("popitem(): dictionary is empty");
    return erase(*entry);
}

MULTIPROCESSING_INLINE void DictState::clear() {
    DictTablePointer old;
    {
        const ContainerLock<DictState> held(*this);
        old.reset(&flip(DictTable::make(0), 0));
    }
    drop_entries(*old);
}

MULTIPROCESSING_INLINE std::vector<DictState::Words> DictState::snapshot() {
    std::vector<Words> words;
    const ContainerLock<DictState> held(*this);
    words.reserve(size());
    for_each([&](const DictEntry& entry) { words.push_back(copy_of(entry)); });
    return words;
}

MULTIPROCESSING_INLINE std::string_view DictState::glance(std::vector<Words>& words,
                                                          std::uint32_t* number) {
    const Glance glance(*this);
    if (const auto why = glance.obstacle(); !why.empty()) return why;
    for_each_of(most_items + 1, [&](const DictEntry& entry) { words.push_back(copy_of(entry)); });
    if (number != nullptr) *number = count();
    return {};
}

}  // namespace multiprocessing::detail
