// multiprocessing/managers/dict_state.hpp
//
// A dict in the family's heap: a table of entries in the order of their insertion, and an index
// into it by hash, as CPython's dict has been since 3.6 (Objects/dictobject.c). It knows nothing of
// the types of keys and values. Floor 6. Start at DictState.
//
// Every change is committed by one store, so no second copy is needed to survive a kill:
//   a new entry      the table's `used`, once the entry and its slot in the index are written
//   another value    the entry's value
//   an erased entry  the entry's hash, to 0; its slot stays
//   all the rest     (growth, clear, an update of many) the dict's `table`, once a new one is made
// A slot of an entry that was never committed may stay behind. It points beyond `used`, or later to
// an entry with another key, and is passed over in both cases.
//
// The bytes of a table:
//      0  DictTable
//     16  DictEntry × capacity
//      …  u32 × slots   the index: 0 free, else the number of an entry plus 1
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <vector>

#include "multiprocessing/heap.hpp"
#include "multiprocessing/managers/container.hpp"
#include "multiprocessing/managers/word.hpp"

namespace multiprocessing::detail {

struct DictEntry {
    std::atomic<std::uint64_t> hash;   //  0  odd; 0: erased
    std::uint64_t key;                 //  8  see word.hpp
    std::atomic<std::uint64_t> value;  // 16  the same

    [[nodiscard]] bool is_live() const noexcept {
        return hash.load(std::memory_order_relaxed) != 0;
    }
};
static_assert(sizeof(DictEntry) == 24);

struct DictTable {
    std::uint32_t capacity;           //  0  entries
    std::uint32_t slots;              //  4  a power of two
    std::atomic<std::uint32_t> used;  //  8  entries that were committed
    std::uint32_t filled;             // 12  slots that are not free

    /// Makes an empty table for at least `entries`. @throws std::bad_alloc
    static DictTable& make(std::size_t entries) {
        const std::size_t slots =
            std::bit_ceil(std::max<std::size_t>(8, entries + entries / 2 + 1));
        if (slots > std::size_t{1} << 31) throw std::bad_alloc();
        const std::size_t capacity = slots / 3 * 2;
        const std::size_t index_at = sizeof(DictTable) + capacity * sizeof(DictEntry);
        auto* const table = new (allocate(index_at + slots * sizeof(std::uint32_t))) DictTable;
        table->capacity = static_cast<std::uint32_t>(capacity);
        table->slots = static_cast<std::uint32_t>(slots);
        table->used.store(0, std::memory_order_relaxed);
        table->filled = 0;
        std::memset(table->index(), 0, slots * sizeof(std::uint32_t));
        return *table;
    }

    [[nodiscard]] DictEntry* entries() noexcept { return reinterpret_cast<DictEntry*>(this + 1); }
    [[nodiscard]] std::uint32_t* index() noexcept {
        return reinterpret_cast<std::uint32_t*>(entries() + capacity);
    }
    [[nodiscard]] std::uint32_t end() const noexcept {
        return used.load(std::memory_order_relaxed);
    }
    [[nodiscard]] bool has_room() const noexcept { return end() < capacity && filled < capacity; }

    /// Returns the entry with that hash for whose key `equals` holds, or null.
    template <class Equals>
    DictEntry* find(std::uint64_t hash, Equals equals) {
        const std::uint32_t last = end();
        for (std::uint64_t slot = hash >> 1;; ++slot) {
            const std::uint32_t number = index()[slot & (slots - 1)];
            if (number == 0) return nullptr;
            if (number > last) continue;
            DictEntry& entry = entries()[number - 1];
            if (entry.hash.load(std::memory_order_relaxed) == hash && equals(entry.key)) {
                return &entry;
            }
        }
    }

    /// Appends an entry. @pre has_room(), and there is none with an equal key
    void append(std::uint64_t hash, std::uint64_t key, std::uint64_t value) noexcept {
        const std::uint32_t number = end();
        DictEntry& entry = entries()[number];
        entry.hash.store(hash, std::memory_order_relaxed);
        entry.key = key;
        entry.value.store(value, std::memory_order_relaxed);
        std::uint64_t slot = hash >> 1;
        while (index()[slot & (slots - 1)] != 0) ++slot;
        index()[slot & (slots - 1)] = number + 1;
        ++filled;
        used.store(number + 1, std::memory_order_release);  // commits, should it be the dict's
    }
};
static_assert(sizeof(DictTable) == 16);

/// A dict. All but the constructor and destroy() need the lock, see ContainerLock.
struct DictState : ContainerState {
    static constexpr ObjectKind object_kind = ObjectKind::dict;
    std::uint32_t keys_are_blobs;    // 56
    std::uint32_t values_are_blobs;  // 60

    DictState(const AnyHandle& manager_handle, bool blob_keys, bool blob_values)
        : ContainerState(object_kind, manager_handle),
          keys_are_blobs(blob_keys),
          values_are_blobs(blob_values) {
        try {
            table = heap().offset_of(&DictTable::make(0));
        } catch (...) {
            leave_manager();
            throw;
        }
    }

    /// How many entries there are.
    [[nodiscard]] std::atomic<std::uint32_t>& live() noexcept { return extra; }
    [[nodiscard]] const std::atomic<std::uint32_t>& live() const noexcept { return extra; }

    [[nodiscard]] DictTable& current() const noexcept {
        return *heap().at<DictTable>(table.load(std::memory_order_relaxed));
    }
    [[nodiscard]] std::uint32_t size() const noexcept {
        return live().load(std::memory_order_relaxed);
    }

    template <class Key>
    [[nodiscard]] DictEntry* find(const Key& key) const {
        return current().find(key.hash(), [&](std::uint64_t word) { return key.equals(word); });
    }

    /// Gives an entry another value. @returns the old one
    OwnedWord replace(DictEntry& entry, OwnedWord value) noexcept {
        const std::uint64_t old = entry.value.load(std::memory_order_relaxed);
        entry.value.store(value.release(), std::memory_order_release);  // commits
        return {old, values_are_blobs != 0};
    }

    /// Appends an entry. @pre find() has said that there is none with this key
    void insert(std::uint64_t hash, OwnedWord key, OwnedWord value) {
        if (!current().has_room()) rebuild(size() + 1);
        current().append(hash, key.release(), value.release());
        live().store(size() + 1, std::memory_order_relaxed);
    }

    struct Erased {
        OwnedWord key;
        OwnedWord value;
    };
    /// Takes an entry out. @returns what it held
    Erased erase(DictEntry& entry) noexcept {
        Erased erased{{entry.key, keys_are_blobs != 0},
                      {entry.value.load(std::memory_order_relaxed), values_are_blobs != 0}};
        entry.hash.store(0, std::memory_order_release);  // commits
        live().store(size() - 1, std::memory_order_relaxed);
        // So that popitem, which looks from the end, finds the last one at once.
        DictTable& now = current();
        std::uint32_t end = now.end();
        while (end > 0 && !now.entries()[end - 1].is_live()) --end;
        now.used.store(end, std::memory_order_relaxed);
        return erased;
    }
    /// Returns the last entry, or null.
    [[nodiscard]] DictEntry* last() const noexcept {
        DictTable& now = current();
        for (std::uint32_t end = now.end(); end > 0; --end) {
            if (now.entries()[end - 1].is_live()) return &now.entries()[end - 1];
        }
        return nullptr;
    }

    /// Calls `f` with each entry, in order.
    template <class F>
    void for_each(F f) const {
        for_each_of(SIZE_MAX, f);
    }
    /// Calls `f` with the first entries, `most` at the most.
    template <class F>
    void for_each_of(std::size_t most, F f) const {
        DictTable& now = current();
        for (std::uint32_t i = 0; i < now.end() && most > 0; ++i) {
            if (!now.entries()[i].is_live()) continue;
            f(now.entries()[i]);
            --most;
        }
    }

    /// Makes a table like the current one, with room for `entries`, that holds no counts.
    [[nodiscard]] DictTable& copy_for(std::size_t entries) const {
        DictTable& fresh = DictTable::make(std::max<std::size_t>(entries, size()) * 3 / 2);
        for_each([&](const DictEntry& entry) {
            fresh.append(entry.hash.load(std::memory_order_relaxed), entry.key,
                         entry.value.load(std::memory_order_relaxed));
        });
        return fresh;
    }
    /// Makes `fresh` the dict's table. @returns the old one, which is the caller's to free
    DictTable& flip(DictTable& fresh, std::uint32_t entries) noexcept {
        DictTable& old = current();
        table.store(heap().offset_of(&fresh), std::memory_order_release);  // commits
        live().store(entries, std::memory_order_relaxed);
        return old;
    }
    [[gnu::noinline]] void rebuild(std::size_t entries) {
        deallocate(&flip(copy_for(entries), size()));
    }

    /// Counts anew, after a kill.
    void recount() noexcept {
        DictTable& now = current();
        std::uint32_t count = 0;
        for_each([&](const DictEntry&) { ++count; });
        live().store(count, std::memory_order_relaxed);
        now.filled = static_cast<std::uint32_t>(
            now.slots - std::count(now.index(), now.index() + now.slots, 0u));
    }

    /// Drops what the entries of a table hold.
    void drop_entries(DictTable& dropped) const noexcept {
        for (std::uint32_t i = 0; i < dropped.end(); ++i) {
            DictEntry& entry = dropped.entries()[i];
            if (!entry.is_live()) continue;
            OwnedWord(entry.key, keys_are_blobs != 0);
            OwnedWord(entry.value.load(std::memory_order_relaxed), values_are_blobs != 0);
        }
    }

    void destroy() noexcept {
        drop_entries(current());
        deallocate(&current());
        leave_manager();
    }
};
static_assert(sizeof(DictState) <= 64);

}  // namespace multiprocessing::detail
