// multiprocessing/managers/dict_proxy.hpp
//
// DictProxy: a dict that the processes of a family share. Mirrors CPython
// Lib/multiprocessing/managers.py, DictProxy. Floor 6. Start at DictProxy.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <map>
#include <optional>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/heap/handle.hpp"
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
    // The first question is whether it also takes a temporary. Asked whether it takes a constant, a
    // generic lambda that changes its argument would have to be compiled for one.
    if constexpr (std::is_invocable_v<F&, V> && !std::is_void_v<std::invoke_result_t<F&, V&>> &&
                  std::is_convertible_v<std::invoke_result_t<F&, V&>, V>) {
        value = change(value);
    } else {
        change(value);
    }
}

}  // namespace detail

/// A dict in shared memory, in insertion order. The object is a handle. It is used like a std::map,
/// and has Python's methods. Each call is one step: no other process comes in between.
///
///     auto d = manager.dict<std::string, int>();   d["k"] = 1;   d["k"] += 1;   int x = d["k"];
///
/// Values are copies. To change a vector in a dict, use update_with, or store it again. Reading an
/// entry takes no lock (unless the value is long, or has handles): readers do not slow each other,
/// and do not wait for a change that is going on.
/// @par Processes One that is killed in the middle of a call leaves the dict as it was before it
/// @par Source CPython Lib/multiprocessing/managers.py, DictProxy
template <class K, class V>
class DictProxy {
  public:
    /// The type of the keys.
    using key_type = K;
    /// The type of the values.
    using mapped_type = V;
    /// What a loop over it gives.
    using value_type = DictItem<K, V>;

    /// Makes an empty proxy. Assign to it first: before that each use throws ValueError.
    DictProxy() = default;

    // --- one entry ---

    /// Returns the entry of the key. It can be read (@throws KeyError when there is none), assigned
    /// and changed: d[k] += 1.
    ///
    /// The entry of a dict with a name refers to that dict, as a reference into a std::map does.
    detail::DictElement<K, V> operator[](const K& key) const& {
        return {detail::Borrowed{}, *this, key};
    }
    /// The same, for a key that may be moved from.
    detail::DictElement<K, V> operator[](K&& key) const& {
        return {detail::Borrowed{}, *this, std::move(key)};
    }
    /// The same of a dict without a name. The entry keeps that dict.
    detail::DictElement<K, V> operator[](K key) && { return {std::move(*this), std::move(key)}; }

    /// Returns the value of the key. @throws KeyError when there is no such key
    [[nodiscard]] V at(const K& key) const {
        const detail::EncodedKey<K> encoded(key);
        detail::ReadValue<V> value;
        if (!read(encoded, value)) throw encoded.error();
        return value.take();
    }
    /// Returns the value of the key; nothing when there is none.
    [[nodiscard]] std::optional<V> get(const K& key) const {
        detail::ReadValue<V> value;
        if (!read(detail::EncodedKey<K>(key), value)) return std::nullopt;
        return value.take();
    }
    /// Returns the value of the key, or `otherwise`.
    [[nodiscard]] V get(const K& key, V otherwise) const {
        std::optional<V> found = get(key);
        return found ? std::move(*found) : std::move(otherwise);
    }
    /// Says whether the key is there.
    [[nodiscard]] bool contains(const K& key) const {
        return state().contains(detail::EncodedKey<K>(key));
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
    /// Returns the value of the key. When there is none, sets it to `value` first.
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

    /// Changes the value of the key in one step, by a call of `change(V&)` or `V change(V)`. If the
    /// function throws, nothing has changed. It must not use this dict.
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

    /// Takes an entry out. @returns how many were taken out: 0 or 1
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
    /// Takes the entry out that was put in last, and returns it. @throws KeyError when the dict is
    /// empty
    std::pair<K, V> popitem() const {
        const detail::DictState::Words taken = state().popitem();
        return {detail::decode<K>(taken.key.get()), detail::decode<V>(taken.value.get())};
    }

    // --- all entries ---

    /// Returns how many entries there are.
    [[nodiscard]] std::size_t size() const {
        state().manager_state().check_usable();
        if (state().is_left_behind()) const Lock lock(state());  // which counts again
        return state().size();
    }
    /// Says whether there is none.
    [[nodiscard]] bool empty() const { return size() == 0; }

    /// Takes all entries out, in one step.
    void clear() const { state().clear(); }

    /// Sets the values of many keys, in one step. @param entries pairs, a map or a DictProxy
    template <std::ranges::input_range Entries>
    void update(const Entries& entries) const {
        assign(entries);
    }
    /// Sets the values of the keys listed, in one step.
    void update(std::initializer_list<std::pair<K, V>> entries) const { assign(entries); }
    /// Sets the values of the keys of another dict, as they were at one moment.
    void update(const DictProxy& other) const { assign(other.items()); }

    /// Returns the entries as they were at one moment, in the order of their insertion.
    [[nodiscard]] std::vector<std::pair<K, V>> items() const {
        std::vector<std::pair<K, V>> items;
        for (const auto& [key, value] : state().snapshot()) {
            items.emplace_back(detail::decode<K>(key.get()), detail::decode<V>(value.get()));
        }
        return items;
    }
    /// Returns the keys as they were at one moment, in the order of their insertion.
    [[nodiscard]] std::vector<K> keys() const {
        std::vector<K> keys;
        for (const auto& entry : state().snapshot()) {
            keys.push_back(detail::decode<K>(entry.key.get()));
        }
        return keys;
    }
    /// Returns the values as they were at one moment, in the order of their insertion.
    [[nodiscard]] std::vector<V> values() const {
        std::vector<V> values;
        for (const auto& entry : state().snapshot()) {
            values.push_back(detail::decode<V>(entry.value.get()));
        }
        return values;
    }
    /// Returns the entries as a std::map.
    [[nodiscard]] std::map<K, V> to_map() const {
        std::map<K, V> map;
        for (auto& [key, value] : items()) map.emplace(std::move(key), std::move(value));
        return map;
    }
    /// Returns the entries, no longer shared, as Python's copy() does.
    [[nodiscard]] std::map<K, V> copy() const { return to_map(); }

    /// Begins a loop over a snapshot. Later changes of other processes do not matter to the loop.
    [[nodiscard]] auto begin() const {
        std::vector<value_type> entries;
        for (auto& [key, value] : items()) {
            entries.emplace_back(std::move(key), std::move(value));
        }
        return detail::SnapshotIterator<value_type>(std::move(entries));
    }
    /// Ends the loop.
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

    /// Two proxies are equal when they are proxies of the same dict.
    friend bool operator==(const DictProxy& a, const DictProxy& b) noexcept {
        return a.handle_ == b.handle_;
    }

    /// For the library: makes a new dict of a manager.
    explicit DictProxy(const detail::Handle<detail::ManagerState>& manager)
        : handle_(make(manager)) {}
    /// For the library: returns the handle that travels.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    /// For the library: makes a proxy of a handle that has arrived.
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
        if constexpr (!picklable<K>) {
            static_cast<void>(sizeof(detail::TravelRefusal<K>));
            return {};
        } else if constexpr (!picklable<V>) {
            static_cast<void>(sizeof(detail::TravelRefusal<V>));
            return {};
        } else if constexpr (!detail::key_of_dict<K>) {
            static_cast<void>(sizeof(detail::CannotBeKey<K>));
            return {};
        } else {
            return detail::make_shared_object<detail::DictState>(
                manager.any(), !detail::is_inline<K>, !detail::is_inline<V>);
        }
    }

    [[nodiscard]] detail::DictState& state() const { return *handle_; }

    static detail::OwnedWord copy_of_value(const detail::DictEntry& entry) noexcept {
        return detail::OwnedWord::copy_of(entry.value_word(), !detail::is_inline<V>);
    }

    bool read(const detail::EncodedKey<K>& key, detail::ReadValue<V>& value) const {
        if constexpr (detail::handle_type<V>) return state().read_locked(key, value);
        return state().read(key, value);
    }

    std::optional<detail::DictState::Words> take(const detail::EncodedKey<K>& key) const {
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
        V value = entry == nullptr ? *initial : detail::decode<V>(entry->value_word());
        detail::apply_change(change, value);
        detail::OwnedWord word = detail::encode(value);
        if (entry == nullptr) {
            state().insert(encoded.hash(), encoded.take(), std::move(word));
        } else {
            old = state().replace(*entry, std::move(word));
        }
        return value;
    }

    /// Returns `{'a': 1}`, as str(d) in Python.
    [[nodiscard]] std::string text() const {
        constexpr bool can_print = detail::is_printable<K>() && detail::is_printable<V>();
        std::vector<detail::DictState::Words> words;
        std::uint32_t count = 0;
        if (const auto why = state().glance(words, can_print ? nullptr : &count); !why.empty()) {
            return detail::unseen_text("DictProxy", "dict", &state(), why);
        }
        if constexpr (can_print) {
            std::string text;
            detail::ItemsText items(text, "{");
            for (const auto& [key, value] : words) {
                if (!items.add(detail::decode<K>(key.get()), detail::decode<V>(value.get()))) break;
            }
            items.end("}");
            return text;
        } else {
            return detail::size_text("DictProxy", count);
        }
    }

    /// Sets the values of many keys. The values are encoded before the lock is taken. They belong
    /// to `words`, and new keys to `keys`, until the new table has become the dict's.
    template <class Entries>
    void assign(const Entries& entries) const {
        std::vector<std::pair<K, detail::OwnedWord>> words;
        for (const auto& [key, value] : entries) {
            words.emplace_back(static_cast<K>(key), detail::encode<V>(static_cast<V>(value)));
        }
        std::vector<detail::OwnedWord> keys;
        std::vector<std::uint64_t> replaced;
        keys.reserve(words.size());
        replaced.reserve(words.size());
        detail::DictTablePointer old;
        {
            const Lock lock(state());
            std::uint32_t count = state().size();
            detail::DictTablePointer fresh(&state().copy_for(count + words.size()));
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
    }

    detail::Handle<detail::DictState> handle_;
};

}  // namespace multiprocessing
