// multiprocessing/managers/dict_state.hpp
//
// A dict in the family's heap: a table of entries in the order of their insertion, and an index
// into it by hash, as CPython's dict has been since 3.6 (Objects/dictobject.c). It does not know
// the types of keys and values. Floor 6. Start at DictState.
//
// One store commits each change, so no second copy is needed to survive a kill:
//   a new entry      the table's `used`, once the entry and its slot in the index are written
//   another value    the entry's value
//   an erased entry  the entry's hash, to 0; its slot stays
//   all the rest     (growth, clear, an update of many) the dict's `table`, once a new one is made
// The slot of an entry that was never committed may stay behind. It points beyond `used`, or later
// to an entry with another key. A search passes over it in both cases.
//
// Others read while this goes on, see peek.hpp.
//
// The bytes of a table:
//      0  DictTable
//     16  DictEntry × capacity
//      …  u32 × slot_count   the index: 0 free, else the number of an entry plus 1
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "multiprocessing/detail/stale.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/managers/container.hpp"
#include "multiprocessing/managers/peek.hpp"
#include "multiprocessing/managers/word.hpp"

namespace multiprocessing::detail {

/// One entry of a dict, or the trace of one that was erased.
struct DictEntry {
    std::atomic<std::uint64_t> hash;   //  0  odd; 0 when erased
    std::atomic<std::uint64_t> key;    //  8  a word, see word.hpp
    std::atomic<std::uint64_t> value;  // 16  a word too

    [[nodiscard]] bool is_live() const noexcept {
        return hash.load(std::memory_order_relaxed) != 0;
    }
    [[nodiscard]] std::uint64_t key_word() const noexcept {
        return key.load(std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t value_word() const noexcept {
        return value.load(std::memory_order_relaxed);
    }
};
static_assert(sizeof(DictEntry) == 24);

/// The head of a table.
struct DictTable {
    std::uint32_t capacity;           //  0  how many entries there is room for
    std::uint32_t slot_count;         //  4  a power of two
    std::atomic<std::uint32_t> used;  //  8  how many entries were committed
    std::uint32_t filled;             // 12  how many slots are not free

    /// Makes an empty table with room for at least `entries`. @throws std::bad_alloc
    static DictTable& make(std::size_t entries);

    [[nodiscard]] DictEntry* entries() noexcept { return reinterpret_cast<DictEntry*>(this + 1); }
    [[nodiscard]] std::atomic<std::uint32_t>* index() noexcept {
        return reinterpret_cast<std::atomic<std::uint32_t>*>(entries() + capacity);
    }
    /// Returns a slot. The search for a hash begins at hash >> 1, and goes on from slot to slot.
    [[nodiscard]] std::atomic<std::uint32_t>& slot(std::uint64_t place) noexcept {
        return index()[place & (slot_count - 1)];
    }
    [[nodiscard]] std::uint32_t end() const noexcept {
        return used.load(std::memory_order_relaxed);
    }
    [[nodiscard]] bool has_room() const noexcept { return end() < capacity && filled < capacity; }

    /// Returns the entry with that hash for whose key `equals` holds, or null.
    template <class Equals>
    DictEntry* find(std::uint64_t hash, Equals equals) {
        const std::uint32_t last = end();
        for (std::uint64_t place = hash >> 1;; ++place) {
            const std::uint32_t number = slot(place).load(std::memory_order_relaxed);
            if (number == 0) return nullptr;
            if (number > last) continue;
            DictEntry& entry = entries()[number - 1];
            if (entry.hash.load(std::memory_order_relaxed) == hash && equals(entry.key_word())) {
                return &entry;
            }
        }
    }

    /// Does what find does, without the lock. @param value where to write the value's word
    /// @pre whether `peek` is true is asked before the value is believed
    template <class Key>
    Sight peek(const Key& key, const Peek& peek, std::uint64_t& value) {
        const auto room = stale_load<std::uint32_t>(&capacity);
        const std::uint32_t index_size = stale_load<std::uint32_t>(&slot_count);
        const std::uint32_t last = stale_load<std::uint32_t>(&used);
        // From here on all places are in the table, or in what it has become.
        if (!peek.is_true()) return Sight::unclear;
        const auto* const numbers = reinterpret_cast<const std::uint32_t*>(entries() + room);
        std::uint64_t place = key.hash() >> 1;
        for (std::uint32_t left = index_size; left != 0; --left, ++place) {
            const auto number = stale_load<std::uint32_t>(numbers + (place & (index_size - 1)));
            if (number == 0) break;
            if (number > last) continue;
            const DictEntry& entry = entries()[number - 1];
            if (stale_load<std::uint64_t>(&entry.hash) != key.hash()) continue;
            const Sight is_it = key.peek(stale_load<std::uint64_t>(&entry.key), peek);
            if (is_it == Sight::no) continue;
            value = stale_load<std::uint64_t>(&entry.value);
            note_taken_over(&entry.value);
            return is_it;
        }
        note_taken_over(&used);
        return peek.is_true() ? Sight::no : Sight::unclear;
    }

    /// Appends an entry. @pre has_room(), and no entry has an equal key
    void append(std::uint64_t hash, std::uint64_t key, std::uint64_t value) noexcept {
        const std::uint32_t number = end();
        DictEntry& entry = entries()[number];
        entry.hash.store(hash, std::memory_order_relaxed);
        entry.key.store(key, std::memory_order_relaxed);
        entry.value.store(value, std::memory_order_relaxed);
        std::uint64_t place = hash >> 1;
        while (slot(place).load(std::memory_order_relaxed) != 0) ++place;
        slot(place).store(number + 1, std::memory_order_relaxed);
        ++filled;
        used.store(number + 1, std::memory_order_release);  // commits, if it is the dict's table
    }
};
static_assert(sizeof(DictTable) == 16);

/// A table that belongs to no dict. The counts that its entries hold are not dropped with it.
struct FreeDictTable {
    void operator()(DictTable* table) const noexcept { deallocate(table); }
};
using DictTablePointer = std::unique_ptr<DictTable, FreeDictTable>;

/// A dict. The caller holds the lock, see ContainerLock, except for the constructor and destroy(),
/// and for the functions at the end, which take it themselves where they need it.
struct DictState : ContainerState {
    static constexpr ObjectKind object_kind = ObjectKind::dict;

    /// @throws std::bad_alloc
    DictState(const AnyHandle& manager_handle, bool blob_keys, bool blob_values);

    [[nodiscard]] bool keys_are_blobs() const noexcept { return has_flag(1); }
    [[nodiscard]] bool values_are_blobs() const noexcept { return has_flag(2); }

    /// How many entries there are.
    [[nodiscard]] std::atomic<std::uint32_t>& live() noexcept { return extra; }
    [[nodiscard]] const std::atomic<std::uint32_t>& live() const noexcept { return extra; }

    [[nodiscard]] DictTable& current() const noexcept {
        return *heap().at<DictTable>(table.load(std::memory_order_relaxed));
    }
    /// Returns how many entries there are. After a kill it is wrong until recount() is called.
    [[nodiscard]] std::uint32_t size() const noexcept {
        return live().load(std::memory_order_relaxed);
    }

    /// Returns the entry with an equal key, or null. @tparam Key an EncodedKey
    template <class Key>
    [[nodiscard]] DictEntry* find(const Key& key) const {
        return current().find(key.hash(), [&](std::uint64_t word) { return key.equals(word); });
    }

    /// Gives an entry another value. @returns the old one
    OwnedWord replace(DictEntry& entry, OwnedWord value) noexcept {
        const std::uint64_t old = entry.value_word();
        entry.value.store(value.release(), std::memory_order_release);  // commits
        if (values_are_blobs()) note_taken_out();
        return {old, values_are_blobs()};
    }

    /// Appends an entry. @pre find() has returned null for its key
    void insert(std::uint64_t hash, OwnedWord key, OwnedWord value) {
        if (!current().has_room()) rebuild(size() + 1);
        current().append(hash, key.release(), value.release());
        live().store(size() + 1, std::memory_order_relaxed);
    }

    /// The words of an entry: a count of each.
    struct Words {
        OwnedWord key;
        OwnedWord value;
    };
    /// Takes an entry out. @returns what it held
    Words erase(DictEntry& entry) noexcept;
    /// Returns the last entry, or null.
    [[nodiscard]] DictEntry* last() const noexcept;
    /// Returns a copy of an entry's words, which the entry keeps.
    [[nodiscard]] Words copy_of(const DictEntry& entry) const noexcept;

    /// Calls `f` with each entry, in order.
    template <class F>
    void for_each(F f) const {
        for_each_of(SIZE_MAX, f);
    }
    /// Calls `f` with the first entries, with `most` of them at most.
    template <class F>
    void for_each_of(std::size_t most, F f) const {
        DictTable& now = current();
        for (std::uint32_t i = 0; i < now.end() && most > 0; ++i) {
            if (!now.entries()[i].is_live()) continue;
            f(now.entries()[i]);
            --most;
        }
    }

    /// Makes a table like the current one, with room for `entries`. It holds no counts.
    /// @throws std::bad_alloc
    [[nodiscard]] DictTable& copy_for(std::size_t entries) const;
    /// Makes `fresh` the dict's table. @returns the old one, which the caller frees
    DictTable& flip(DictTable& fresh, std::uint32_t entries) noexcept;
    /// Makes room for `entries`, without the traces of erased ones. @throws std::bad_alloc
    void rebuild(std::size_t entries);

    /// Returns how many entries there are, also when size() may be wrong.
    [[nodiscard]] std::uint32_t count() const noexcept;
    /// Counts again, after a kill.
    void recount() noexcept;

    /// Drops what the entries of a table hold.
    void drop_entries(DictTable& dropped) const noexcept;

    void destroy() noexcept;

    // --- without the lock, or with it where that must be ---

    /// Says whether a key is there. @tparam Key an EncodedKey
    template <class Key>
    [[nodiscard]] bool contains(const Key& key) {
        check_readable();
        if constexpr (Key::can_be_peeked_at) {
            for (int tries = Peek::tries(); tries > 0; --tries) {
                const Peek peek(*this);
                std::uint64_t value = 0;
                const Sight sight = peeked_table().peek(key, peek, value);
                if (sight == Sight::no) return false;
                if (sight == Sight::yes && peek.is_true()) return true;
            }
        }
        const ContainerLock<DictState> held(*this);
        return find(key) != nullptr;
    }

    /// Reads the value of a key. @returns whether it is there
    /// @tparam Value a ReadValue or ReadMessage
    template <class Key, class Value>
    bool read(const Key& key, Value& value) {
        check_readable();
        if constexpr (Key::can_be_peeked_at) {
            for (int tries = Peek::tries(); tries > 0; --tries) {
                const Peek peek(*this);
                std::uint64_t word = 0;
                Sight sight = peeked_table().peek(key, peek, word);
                if (sight == Sight::no) return false;
                if (sight == Sight::yes) sight = value.read(word, peek);
                if (sight == Sight::yes) return true;
                if (sight == Sight::unclear) continue;
                const ContainerLock<DictState> held(*this);
                if (!peek.is_true()) continue;
                value.keep(OwnedWord::copy_of(word, true));
                return true;
            }
        }
        return read_locked(key, value);
    }
    /// The same, for values that must be counted in any case: those that are handles.
    template <class Key, class Value>
    bool read_locked(const Key& key, Value& value) {
        const ContainerLock<DictState> held(*this);
        const DictEntry* const entry = find(key);
        if (entry == nullptr) return false;
        value.keep(OwnedWord::copy_of(entry->value_word(), values_are_blobs()));
        return true;
    }

    // --- with the lock, which they take themselves ---

    /// Takes the last entry out. @returns what it held @throws KeyError when the dict is empty
    Words popitem();
    /// Takes all entries out, in one step. @throws std::bad_alloc; then nothing has changed
    void clear();
    /// Returns the words of all entries, in order.
    [[nodiscard]] std::vector<Words> snapshot();
    /// Appends the words of the first entries to `words`: what there is to print, and one more.
    /// @param number where to write how many entries there are; or null
    /// @returns why they cannot be seen; empty when they can
    std::string_view glance(std::vector<Words>& words, std::uint32_t* number = nullptr);

  private:
    [[nodiscard]] DictTable& peeked_table() const noexcept {
        // acquire: pairs with flip, so that a new table is seen with its content.
        return *heap().at_covered<DictTable>(table.load(std::memory_order_acquire));
    }
};
static_assert(sizeof(DictState) <= 64);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/managers/dict_state.ipp"
#endif
