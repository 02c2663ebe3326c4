// multiprocessing/managers/dict_proxy.hpp
//
// DictProxy: a dict that the processes of a family share. Mirrors CPython
// Lib/multiprocessing/managers.py, DictProxy. Floor 6. Start at DictProxy.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap.hpp"
#include "multiprocessing/managers/container.hpp"
#include "multiprocessing/managers/content.hpp"
#include "multiprocessing/managers/dict_element.hpp"
#include "multiprocessing/managers/dict_state.hpp"
#include "multiprocessing/managers/key.hpp"
#include "multiprocessing/managers/snapshot.hpp"
#include "multiprocessing/managers/word.hpp"

namespace multiprocessing {
namespace detail {

/// Calls a function that changes a value: one that takes it by reference, or one that returns the
/// new value.
template <class F, class V>
void apply_change(F& change, V& value) {
    if constexpr (std::is_invocable_v<F&, const V&> &&
                  !std::is_void_v<std::invoke_result_t<F&, V&>> &&
                  std::is_convertible_v<std::invoke_result_t<F&, V&>, V>) {
        value = change(value);
    } else {
        change(value);
    }
}

}  // namespace detail

/// A dict in shared memory, in insertion order; a handle. It is used like a std::map, with Python's
/// methods; each call is one step, between whose beginning and end no other process comes.
///
///     auto d = manager.dict<std::string, int>();   d["k"] = 1;   d["k"] += 1;   int x = d["k"];
///
/// Values are copies: to change a vector in a dict, use update_with, or store it again.
/// @par Processes One that is killed in the middle of a call leaves the dict as it was before it
/// @par Source CPython Lib/multiprocessing/managers.py, DictProxy
template <class K, class V>
class DictProxy {
  public:
    /// The type of its keys.
    using key_type = K;
    /// The type of its values.
    using mapped_type = V;
    using value_type = DictItem<K, V>;

    // --- one entry ---

    /// Returns the entry of the key: it can be read (@throws KeyError when there is none), assigned
    /// and changed: d[k] += 1.
    ///
    /// What a named dict gives refers to that dict, as a reference into a std::map does.
    detail::DictElement<K, V> operator[](K key) const& {
        return {detail::Borrowed{}, *this, std::move(key)};
    }
    /// The same of a dict without a name, which the entry keeps.
    detail::DictElement<K, V> operator[](K key) && { return {std::move(*this), std::move(key)}; }

    /// @throws KeyError when there is no such key
    [[nodiscard]] V at(const K& key) const {
        const detail::EncodedKey<K> encoded(key);
        const std::optional<detail::OwnedWord> found = read(encoded);
        if (!found) throw encoded.error();
        return detail::decode<V>(found->get());
    }
    /// Returns the value of the key; nothing when there is none.
    [[nodiscard]] std::optional<V> get(const K& key) const {
        const std::optional<detail::OwnedWord> found = read(detail::EncodedKey<K>(key));
        if (!found) return std::nullopt;
        return detail::decode<V>(found->get());
    }
    /// Returns the value of the key, or `otherwise`.
    [[nodiscard]] V get(const K& key, V otherwise) const {
        std::optional<V> found = get(key);
        return found ? std::move(*found) : std::move(otherwise);
    }
    /// Says whether the key is there.
    [[nodiscard]] bool contains(const K& key) const {
        const detail::EncodedKey<K> encoded(key);
        const Lock lock(state());
        return state().find(encoded) != nullptr;
    }

    /// Sets the value of the key. @throws std::bad_alloc; then nothing has changed
    void set(const K& key, const V& value) const {
        detail::EncodedKey<K> encoded(key);
        detail::OwnedWord word = detail::encode(value);
        detail::OwnedWord old;  // dropped when the lock is released
        const Lock lock(state());
        if (detail::DictEntry* const entry = state().find(encoded)) {
            old = state().replace(*entry, std::move(word));
        } else {
            state().insert(encoded.hash(), encoded.take(), std::move(word));
        }
    }
    /// Returns the value of the key, which is set to `value` when there is none.
    V setdefault(const K& key, const V& value) const {
        detail::EncodedKey<K> encoded(key);
        detail::OwnedWord word = detail::encode(value);
        detail::OwnedWord found;
        {
            const Lock lock(state());
            detail::DictEntry* const entry = state().find(encoded);
            if (entry == nullptr) {
                state().insert(encoded.hash(), encoded.take(), std::move(word));
                return value;
            }
            found = copy_of_value(*entry);
        }
        return detail::decode<V>(found.get());
    }

    /// Changes the value of the key in one step: `change(V&)`, or `V change(V)`. If it throws,
    /// nothing has changed. It must not use this dict.
    /// @returns the new value
    /// @throws KeyError when there is no such key
    template <class F>
    V update_with(const K& key, F change) const {
        return change_entry(key, change, nullptr);
    }
    /// The same, beginning with `initial` when there is no such key.
    template <class F>
    V update_with(const K& key, F change, const V& initial) const {
        return change_entry(key, change, &initial);
    }

    /// Takes an entry out. @returns how many there were: 0 or 1
    std::size_t erase(const K& key) const {
        return take(detail::EncodedKey<K>(key)).has_value() ? 1 : 0;
    }
    /// Takes an entry out and returns its value. @throws KeyError when there is none
    V pop(const K& key) const {
        const detail::EncodedKey<K> encoded(key);
        const auto taken = take(encoded);
        if (!taken) throw encoded.error();
        return detail::decode<V>(taken->value.get());
    }
    /// The same, or returns `otherwise`.
    V pop(const K& key, V otherwise) const {
        const auto taken = take(detail::EncodedKey<K>(key));
        return taken ? detail::decode<V>(taken->value.get()) : std::move(otherwise);
    }
    /// Takes the entry out that was put in last. @throws KeyError when the dict is empty
    std::pair<K, V> popitem() const {
        const auto taken = [this] {
            const Lock lock(state());
            detail::DictEntry* const entry = state().last();
            if (entry == nullptr) throw KeyError("popitem(): dictionary is empty");
            return state().erase(*entry);
        }();
        return {detail::decode<K>(taken.key.get()), detail::decode<V>(taken.value.get())};
    }

    // --- all entries ---

    /// Returns how many entries there are.
    [[nodiscard]] std::size_t size() const {
        state().manager_state().check();
        if (state().is_left_behind()) const Lock lock(state());  // which counts anew
        return state().size();
    }
    /// Says whether there is none.
    [[nodiscard]] bool empty() const { return size() == 0; }

    /// Takes all entries out, in one step.
    void clear() const { assign(std::initializer_list<std::pair<K, V>>{}, true); }

    /// Sets the values of many keys, in one step. @param entries pairs, a map, or a DictProxy
    template <std::ranges::input_range Entries>
    void update(const Entries& entries) const {
        assign(entries, false);
    }
    /// Sets the values of the keys listed, in one step.
    void update(std::initializer_list<std::pair<K, V>> entries) const { assign(entries, false); }
    /// Sets the values of the keys of another dict, as they were at one moment.
    void update(const DictProxy& other) const { assign(other.items(), false); }

    /// Returns the entries as they were at one moment, in the order of their insertion.
    [[nodiscard]] std::vector<std::pair<K, V>> items() const {
        std::vector<std::pair<K, V>> items;
        for (const auto& [key, value] : snapshot()) {
            items.emplace_back(detail::decode<K>(key.get()), detail::decode<V>(value.get()));
        }
        return items;
    }
    /// Returns the keys as they were at one moment, in the order of their insertion.
    [[nodiscard]] std::vector<K> keys() const {
        std::vector<K> keys;
        for (const auto& word : snapshot()) keys.push_back(detail::decode<K>(word.key.get()));
        return keys;
    }
    /// Returns the values as they were at one moment, in the order of their insertion.
    [[nodiscard]] std::vector<V> values() const {
        std::vector<V> values;
        for (const auto& word : snapshot()) values.push_back(detail::decode<V>(word.value.get()));
        return values;
    }
    /// Returns the entries as a std::map.
    [[nodiscard]] std::map<K, V> to_map() const {
        std::map<K, V> map;
        for (auto& [key, value] : items()) map.emplace(std::move(key), std::move(value));
        return map;
    }
    /// As Python's copy(): the entries, no longer shared.
    [[nodiscard]] std::map<K, V> copy() const { return to_map(); }

    /// Walks a snapshot: what other processes change meanwhile does not matter to the loop.
    [[nodiscard]] auto begin() const {
        std::vector<value_type> entries;
        for (auto& [key, value] : items()) {
            entries.emplace_back(std::move(key), std::move(value));
        }
        return detail::SnapshotIterator<value_type>(std::move(entries));
    }
    /// Ends the walk.
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

    /// Two proxies are equal when they are proxies of the same dict.
    friend bool operator==(const DictProxy& a, const DictProxy& b) noexcept {
        return a.handle_ == b.handle_;
    }

    /// For the library: a new dict of a manager.
    explicit DictProxy(const detail::Handle<detail::ManagerState>& manager)
        : handle_(make(manager)) {}
    /// For the library: the handle as it travels, and one that has arrived.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    static DictProxy from_shared_handle(detail::AnyHandle handle) {
        return DictProxy(std::move(handle));
    }

    friend std::string text_of(const DictProxy& dict) { return dict.text(); }

  private:
    using Lock = detail::ContainerLock<detail::DictState>;

    friend class detail::DictElement<K, V>;

    explicit DictProxy(detail::AnyHandle handle) noexcept : handle_(std::move(handle)) {}
    DictProxy(detail::Borrowed borrowed, const DictProxy& owner) noexcept
        : handle_(borrowed, owner.shared_handle()) {}

    static detail::Handle<detail::DictState> make(
        const detail::Handle<detail::ManagerState>& manager) {
        if constexpr (picklable<K> && picklable<V>) {
            detail::require_key<K>();
            return detail::make_shared_object<detail::DictState>(
                manager.any(), !detail::is_inline<K>, !detail::is_inline<V>);
        } else {
            detail::require_picklable<K>();
            detail::require_picklable<V>();
            return {};
        }
    }

    [[nodiscard]] detail::DictState& state() const noexcept { return *handle_; }

    static detail::OwnedWord copy_of_value(const detail::DictEntry& entry) noexcept {
        return detail::OwnedWord::copy_of(entry.value.load(std::memory_order_relaxed),
                                          !detail::is_inline<V>);
    }

    std::optional<detail::OwnedWord> read(const detail::EncodedKey<K>& key) const {
        const Lock lock(state());
        const detail::DictEntry* const entry = state().find(key);
        if (entry == nullptr) return std::nullopt;
        return copy_of_value(*entry);
    }

    std::optional<detail::DictState::Erased> take(const detail::EncodedKey<K>& key) const {
        const Lock lock(state());
        detail::DictEntry* const entry = state().find(key);
        if (entry == nullptr) return std::nullopt;
        return state().erase(*entry);
    }

    template <class F>
    V change_entry(const K& key, F& change, const V* initial) const {
        detail::EncodedKey<K> encoded(key);
        detail::OwnedWord old;  // dropped when the lock is released
        const Lock lock(state());
        detail::DictEntry* const entry = state().find(encoded);
        if (entry == nullptr && initial == nullptr) throw encoded.error();
        const detail::UserCall call(state());
        V value = entry == nullptr
                      ? *initial
                      : detail::decode<V>(entry->value.load(std::memory_order_relaxed));
        detail::apply_change(change, value);
        detail::OwnedWord word = detail::encode(value);
        if (entry == nullptr) {
            state().insert(encoded.hash(), encoded.take(), std::move(word));
        } else {
            old = state().replace(*entry, std::move(word));
        }
        return value;
    }

    /// Words of an entry, counted.
    struct Words {
        detail::OwnedWord key;
        detail::OwnedWord value;
    };
    static Words copy_of(const detail::DictEntry& entry) noexcept {
        return {detail::OwnedWord::copy_of(entry.key, !detail::is_inline<K>), copy_of_value(entry)};
    }
    [[nodiscard]] std::vector<Words> snapshot() const {
        std::vector<Words> words;
        const Lock lock(state());
        words.reserve(state().size());
        state().for_each([&](const detail::DictEntry& entry) { words.push_back(copy_of(entry)); });
        return words;
    }

    /// Returns `{'a': 1}`, as str(d) in Python.
    [[nodiscard]] std::string text() const {
        std::vector<Words> words;
        {
            const detail::Glance glance(state());
            if (const auto why = glance.obstacle(); !why.empty()) {
                return detail::unseen_text("DictProxy", "dict", &state(), why);
            }
            state().for_each_of(detail::most_items + 1, [&](const detail::DictEntry& entry) {
                words.push_back(copy_of(entry));
            });
        }
        if constexpr (detail::is_printable<K>() && detail::is_printable<V>()) {
            std::string text;
            detail::ItemsText items(text, "{");
            for (const auto& [key, value] : words) {
                if (!items.add(detail::decode<K>(key.get()), detail::decode<V>(value.get()))) break;
            }
            items.end("}");
            return text;
        } else {
            return detail::size_text("DictProxy", state().size());
        }
    }

    struct FreeTable {
        void operator()(detail::DictTable* table) const noexcept { detail::deallocate(table); }
    };
    using TablePointer = std::unique_ptr<detail::DictTable, FreeTable>;

    /// Sets the values of many keys. All are encoded before the lock is taken, and belong to
    /// `words` and `keys` until the new table has become the dict's.
    template <class Entries>
    void assign(const Entries& entries, bool from_nothing) const {
        std::vector<std::pair<K, detail::OwnedWord>> words;
        for (const auto& [key, value] : entries) {
            words.emplace_back(static_cast<K>(key), detail::encode<V>(static_cast<V>(value)));
        }
        std::vector<detail::OwnedWord> keys;
        std::vector<std::uint64_t> replaced;
        keys.reserve(words.size());
        replaced.reserve(words.size());
        TablePointer old;
        {
            const Lock lock(state());
            std::uint32_t count = from_nothing ? 0 : state().size();
            TablePointer fresh(from_nothing ? &detail::DictTable::make(words.size())
                                            : &state().copy_for(count + words.size()));
            for (const auto& [key, word] : words) {
                detail::EncodedKey<K> encoded(key);
                const auto equals = [&](std::uint64_t other) { return encoded.equals(other); };
                if (detail::DictEntry* const entry = fresh->find(encoded.hash(), equals)) {
                    replaced.push_back(entry->value.exchange(word.get()));
                } else {
                    keys.push_back(encoded.take());
                    fresh->append(encoded.hash(), keys.back().get(), word.get());
                    ++count;
                }
            }
            old.reset(&state().flip(*fresh.release(), count));
            for (auto& [key, word] : words) word.release();
            for (auto& key : keys) key.release();
        }
        for (const std::uint64_t word : replaced) detail::OwnedWord(word, !detail::is_inline<V>);
        if (from_nothing) state().drop_entries(*old);
    }

    detail::Handle<detail::DictState> handle_;
};

}  // namespace multiprocessing
