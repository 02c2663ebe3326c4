// multiprocessing/managers/list_proxy.hpp
//
// ListProxy: a list that the processes of a family share. Mirrors CPython
// Lib/multiprocessing/managers.py, ListProxy. Floor 6. Start at ListProxy.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <numeric>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/index.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/managers/container.hpp"
#include "multiprocessing/managers/content.hpp"
#include "multiprocessing/managers/dict_proxy.hpp"
#include "multiprocessing/managers/list_state.hpp"
#include "multiprocessing/managers/snapshot.hpp"
#include "multiprocessing/managers/word.hpp"
#include "multiprocessing/sharedctypes/access.hpp"

namespace multiprocessing {

template <class T>
class ListProxy;

namespace detail {

/// What `l[i]` is. Of a list with a name it borrows the handle, for as long as the expression
/// lasts.
template <class T>
class ListElement : public AccessOperators<ListElement<T>, T> {
  public:
    ListElement(ListProxy<T>&& list, std::ptrdiff_t index) noexcept
        : list_(std::move(list)), index_(index) {}
    ListElement(Borrowed borrowed, const ListProxy<T>& list, std::ptrdiff_t index) noexcept
        : list_(borrowed, list), index_(index) {}
    ListElement(const ListElement&) = default;

    /// @throws IndexError when there is no such item
    [[nodiscard]] T load() const { return list_.at(index_); }
    template <class F>
    T change(F change) const {
        return list_.update_with(index_, std::move(change));
    }

    const ListElement& operator=(const T& value) const {
        list_.set(index_, value);
        return *this;
    }
    const ListElement& operator=(const ListElement& other) const { return *this = other.load(); }

    /// Returns an element of a nested container: l[0]["key"].
    template <class Index>
        requires requires(const T& value, Index&& index) { value[std::forward<Index>(index)]; }
    auto operator[](Index&& index) const {
        return detail::element_of(load(), std::forward<Index>(index));
    }
    /// A copy of the item, to use its members: l[0]->size().
    struct Arrow {
        T value;
        T* operator->() noexcept { return &value; }
    };
    Arrow operator->() const { return {load()}; }

  private:
    ListProxy<T> list_;
    std::ptrdiff_t index_;
};

}  // namespace detail

/// A list in shared memory. The object is a handle. It has Python's methods. Each call is one step:
/// no other process comes in between. Negative indices count from the end.
///
///     auto l = manager.list<int>({1, 2, 3});   l.append(4);   l[0] += 1;   int last = l[-1];
///
/// Items are copies. To change a vector in a list, use update_with, or store it again. Reading,
/// replacing, and adding or taking at the end take the same time however long the list is.
/// Inserting or taking elsewhere copies the list (8 bytes an item). Reading an item takes no lock
/// (unless it is long, or has handles): readers do not slow each other, and do not
/// wait for a change that is going on.
/// @par Processes One that is killed in the middle of a call leaves the list as it was before it
/// @par Source CPython Lib/multiprocessing/managers.py, ListProxy
template <class T>
class ListProxy {
  public:
    /// The type of the items.
    using value_type = T;

    /// Makes an empty proxy. Assign to it first: before that each use throws ValueError.
    ListProxy() = default;

    // --- one item ---

    /// Returns the item at the index. It can be read, assigned and changed: l[0] += 1.
    detail::ListElement<T> operator[](std::ptrdiff_t index) const& {
        return {detail::Borrowed{}, *this, index};
    }
    /// The same of a list without a name. The item keeps that list.
    detail::ListElement<T> operator[](std::ptrdiff_t index) && { return {std::move(*this), index}; }

    /// Returns the item at the index. @throws IndexError when there is no such item
    [[nodiscard]] T at(std::ptrdiff_t index) const {
        detail::ReadValue<T> value;
        if constexpr (detail::handle_type<T>) {
            state().read_locked(index, value);
        } else {
            state().read(index, value);
        }
        return value.take();
    }
    /// Replaces an item. @throws IndexError when there is none
    void set(std::ptrdiff_t index, const T& value) const {
        detail::OwnedWord word = detail::encode(value);
        detail::OwnedWord old;  // dropped when the lock is released
        const Lock lock(state());
        old = state().replace(state().place_of(index), std::move(word));
    }
    /// Changes an item in one step, by a call of `change(T&)` or `T change(T)`. If the function
    /// throws, nothing has changed. It must not use this list.
    /// @returns the new value @throws IndexError when there is no such item
    template <class F>
    T update_with(std::ptrdiff_t index, F change) const {
        detail::OwnedWord old;
        const Lock lock(state());
        const std::size_t place = state().place_of(index);
        const detail::UserCall call(state());
        T value = detail::decode<T>(state().current().words()[place]);
        detail::apply_change(change, value);
        old = state().replace(place, detail::encode(value));
        return value;
    }

    /// Puts an item at the end.
    void append(const T& value) const {
        detail::OwnedWord word = detail::encode(value);
        const Lock lock(state());
        state().append(std::move(word));
    }
    /// Inserts an item before `index`, which is clipped to the list as in Python.
    void insert(std::ptrdiff_t index, const T& value) const {
        detail::OwnedWord word = detail::encode(value);
        const Lock lock(state());
        const std::uint64_t raw = word.get();
        state().edit(detail::clipped_bound(index, length()), 0, {&raw, 1});
        word.release();
    }
    /// Takes an item out, by default the last, and returns it.
    /// @throws IndexError when the list is empty, or the index is out of range
    T pop(std::ptrdiff_t index = -1) const {
        const detail::OwnedWord word = state().pop(index);
        return detail::decode<T>(word.get());
    }
    /// Takes an item out, as Python's del l[i] does. @throws IndexError when there is none
    void erase(std::ptrdiff_t index) const {
        detail::OwnedWord word;
        const Lock lock(state());
        word = state().erase(state().place_of(index));
    }
    /// Takes out the first item that is equal to `value`. @throws ValueError when there is none
    void remove(const T& value) const {
        detail::OwnedWord word;
        const Lock lock(state());
        const std::size_t place = find(value, 0, length());
        if (place == length()) throw ValueError("list.remove(x): x not in list");
        word = state().erase(place);
    }

    // --- looking ---

    /// Returns the place of the first item from `start` to `stop` that is equal to `value`.
    /// @throws ValueError when there is none
    [[nodiscard]] std::size_t index(const T& value, std::ptrdiff_t start = 0,
                                    std::ptrdiff_t stop = PTRDIFF_MAX) const {
        const Lock lock(state());
        const std::size_t end = detail::clipped_bound(stop, length());
        const std::size_t place = find(value, detail::clipped_bound(start, length()), end);
        if (place >= end) throw ValueError("list.index(x): x not in list");
        return place;
    }
    /// Returns how many items are equal to `value`.
    [[nodiscard]] std::size_t count(const T& value) const {
        const std::vector<T> items = to_vector();
        return static_cast<std::size_t>(std::ranges::count(items, value));
    }
    /// Says whether an item is equal to `value`.
    [[nodiscard]] bool contains(const T& value) const {
        const Lock lock(state());
        return find(value, 0, length()) != length();
    }
    /// Returns how many items there are.
    [[nodiscard]] std::size_t size() const { return state().read_length(); }
    /// Says whether there is none.
    [[nodiscard]] bool empty() const { return size() == 0; }

    /// Returns the items as they were at one moment.
    [[nodiscard]] std::vector<T> to_vector() const { return slice(0, PTRDIFF_MAX); }
    /// Returns the items, no longer shared, as Python's copy() does.
    [[nodiscard]] std::vector<T> copy() const { return to_vector(); }
    /// Returns l[start:stop], the bounds clipped as in Python.
    [[nodiscard]] std::vector<T> slice(std::ptrdiff_t start, std::ptrdiff_t stop) const {
        const std::vector<detail::OwnedWord> words = state().slice(start, stop);
        std::vector<T> items;
        items.reserve(words.size());
        for (const auto& word : words) items.push_back(detail::decode<T>(word.get()));
        return items;
    }

    // --- the whole list ---

    /// Appends many items, in one step. @param items any range, or another list of a manager
    template <std::ranges::input_range Items>
    void extend(const Items& items) const {
        splice(PTRDIFF_MAX, PTRDIFF_MAX, items);
    }
    /// Appends the items listed, in one step.
    void extend(std::initializer_list<T> items) const { splice(PTRDIFF_MAX, PTRDIFF_MAX, items); }
    /// Appends the items of another list, as they were at one moment.
    void extend(const ListProxy& other) const {
        splice(PTRDIFF_MAX, PTRDIFF_MAX, other.to_vector());
    }
    /// Appends many items, as extend does.
    template <class Items>
    const ListProxy& operator+=(const Items& items) const {
        extend(items);
        return *this;
    }
    /// Appends the items listed, as extend does.
    const ListProxy& operator+=(std::initializer_list<T> items) const {
        extend(items);
        return *this;
    }
    /// Puts items in the place of l[start:stop], as Python's assignment to a slice does.
    template <std::ranges::input_range Items>
    void set_slice(std::ptrdiff_t start, std::ptrdiff_t stop, const Items& items) const {
        splice(start, stop, items);
    }
    /// Puts the items listed in the place of l[start:stop].
    void set_slice(std::ptrdiff_t start, std::ptrdiff_t stop,
                   std::initializer_list<T> items) const {
        splice(start, stop, items);
    }

    /// Takes all items out.
    void clear() const { splice(0, PTRDIFF_MAX, std::initializer_list<T>{}); }

    /// Turns the order of the items round, in one step.
    void reverse() const { state().reverse(); }
    /// Sorts the items. Equal ones keep their order.
    /// @param less says of a and b whether a goes before b. It must not use this list
    template <class Less = std::less<>>
    void sort(Less less = {}) const {
        const Lock lock(state());
        const detail::UserCall call(state());
        const auto items = state().current().items();
        std::vector<T> values;
        for (const std::uint64_t word : items) values.push_back(detail::decode<T>(word));
        std::vector<std::size_t> order(items.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
            return static_cast<bool>(less(std::as_const(values)[a], std::as_const(values)[b]));
        });
        std::vector<std::uint64_t> words;
        for (const std::size_t i : order) words.push_back(items[i]);
        state().permute(words);
    }

    /// Begins a loop over a snapshot. Later changes of other processes do not matter to the loop.
    [[nodiscard]] auto begin() const { return detail::SnapshotIterator<T>(to_vector()); }
    /// Ends the loop.
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

    /// Two proxies are equal when they are proxies of the same list.
    friend bool operator==(const ListProxy& a, const ListProxy& b) noexcept {
        return a.handle_ == b.handle_;
    }

    /// For the library: makes a new list of a manager.
    explicit ListProxy(const detail::Handle<detail::ManagerState>& manager)
        : handle_(make(manager)) {}
    /// For the library: returns the handle that travels.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    /// For the library: makes a proxy of a handle that has arrived.
    static ListProxy from_shared_handle(detail::AnyHandle handle) {
        return ListProxy(std::move(handle));
    }

    friend std::string text_of(const ListProxy& list) { return list.text(); }

  private:
    friend class detail::ListElement<T>;
    using Lock = detail::ContainerLock<detail::ListState>;

    explicit ListProxy(detail::AnyHandle handle) noexcept : handle_(std::move(handle)) {}
    ListProxy(detail::Borrowed borrowed, const ListProxy& owner) noexcept
        : handle_(borrowed, owner.shared_handle()) {}

    static detail::Handle<detail::ListState> make(
        const detail::Handle<detail::ManagerState>& manager) {
        if constexpr (picklable<T>) {
            return detail::make_shared_object<detail::ListState>(manager.any(),
                                                                 !detail::is_inline<T>);
        } else {
            static_cast<void>(sizeof(detail::TravelRefusal<T>));
            return {};
        }
    }

    [[nodiscard]] detail::ListState& state() const { return *handle_; }

    /// Returns `[1, 2, 3]`, as str(l) in Python.
    [[nodiscard]] std::string text() const {
        std::vector<detail::OwnedWord> words;
        std::size_t size = 0;
        if (const auto why = state().glance(words, size); !why.empty()) {
            return detail::unseen_text("ListProxy", "list", &state(), why);
        }
        if constexpr (detail::is_printable<T>()) {
            std::string text;
            detail::ItemsText items(text, "[");
            for (const auto& word : words) {
                if (!items.add(detail::decode<T>(word.get()))) break;
            }
            items.end("]");
            return text;
        } else {
            return detail::size_text("ListProxy", size);
        }
    }
    [[nodiscard]] std::size_t length() const { return state().length(); }

    static detail::OwnedWord copy_of(std::uint64_t word) noexcept {
        return detail::OwnedWord::copy_of(word, !detail::is_inline<T>);
    }

    /// Returns the place of the first equal item, or length(). @pre the lock is held
    [[nodiscard]] std::size_t find(const T& value, std::size_t first, std::size_t last) const {
        const detail::UserCall call(state());
        const auto items = state().current().items();
        for (std::size_t i = first; i < last; ++i) {
            if (detail::decode<T>(items[i]) == value) return i;
        }
        return items.size();
    }

    /// Puts items in the place of l[start:stop]. They are encoded before the lock is taken.
    template <class Items>
    void splice(std::ptrdiff_t start, std::ptrdiff_t stop, const Items& items) const {
        std::vector<detail::OwnedWord> words;
        for (auto&& item : items) words.push_back(detail::encode<T>(static_cast<T>(item)));
        state().splice(start, stop, words);
    }

    detail::Handle<detail::ListState> handle_;
};

}  // namespace multiprocessing
