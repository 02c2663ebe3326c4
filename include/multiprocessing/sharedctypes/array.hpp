// multiprocessing/sharedctypes/array.hpp
//
// Array: objects in a row in shared memory, with a lock. Mirrors CPython
// Lib/multiprocessing/sharedctypes.py, Array. Floor 4. Start at Array.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/index.hpp"
#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/sharedctypes/content.hpp"
#include "multiprocessing/sharedctypes/element.hpp"
#include "multiprocessing/sharedctypes/guard.hpp"
#include "multiprocessing/sharedctypes/items.hpp"
#include "multiprocessing/synchronize/lock.hpp"

namespace multiprocessing {

/// Objects of a trivially copyable type in a row in shared memory, with a lock; a handle.
///
///     mp::Array<int> a({0, 0, 0});   a[0] = a[1] + 1;   a[2] += 1;
///     std::scoped_lock guard(a.get_lock());  for (int& x : a.get_obj()) ++x;
///
/// Each access to an element takes the lock; get_obj gives all of them without it. Elements and
/// iterators must not outlive the Array object that gave them. Memory is taken page by page, as the
/// pages are touched, and given back with the last handle.
/// @par Source CPython Lib/multiprocessing/sharedctypes.py, Array, SynchronizedArray
template <class T>
class Array {
  public:
    using value_type = T;
    using reference = detail::ElementAccess<T>;
    using iterator = detail::ElementIterator<T>;
    using const_iterator = iterator;

    /// Makes an array of `size` zeros. @throws std::bad_alloc @throws ValueError a negative size
    template <std::integral Size>
    explicit Array(Size size) : handle_(detail::item_count(size), detail::AnyHandle()) {}
    /// Makes an array of `size` zeros, with options.
    template <std::integral Size>
    Array(const ArrayOptions& options, Size size)
        : handle_(detail::item_count(size), detail::AnyHandle(), options) {}
    /// Makes an array of `size` zeros that `lock` guards, with options.
    template <std::integral Size>
    Array(const ArrayOptions& options, Size size, const BasicLock& lock)
        : handle_(detail::item_count(size), lock.shared_handle(), options) {}
    /// Makes an array of `size` zeros that `lock` guards.
    template <std::integral Size>
    Array(Size size, const BasicLock& lock)
        : handle_(detail::item_count(size), lock.shared_handle()) {}

    /// @{
    /// Not allowed: Python's typecode is the type here, and an array has one dimension.
    template <detail::string_literal Code, class Items>
        requires(!std::derived_from<std::remove_cvref_t<Items>, BasicLock>)
    Array(Code&&, Items&&) = delete;  // Array<double> a(10): the code is the type
    template <std::integral Rows, std::integral Columns>
    Array(Rows, Columns) = delete;  // one dimension: Array<double> a(rows * columns)
    /// @}

    /// Makes an array of copies of `items`.
    Array(std::initializer_list<T> items) : Array(std::span(items)) {}
    /// Makes an array of copies of `items` that `lock` guards.
    Array(std::initializer_list<T> items, const BasicLock& lock) : Array(std::span(items), lock) {}
    /// Makes an array of copies of the items of a range.
    template <detail::elements_for<T> Range>
        requires(!std::same_as<std::remove_cvref_t<Range>, Array>)
    explicit Array(Range&& items) : Array(std::forward<Range>(items), detail::AnyHandle()) {}
    /// Makes an array of copies of the items of a range that `lock` guards.
    template <detail::elements_for<T> Range>
    Array(Range&& items, const BasicLock& lock)
        : Array(std::forward<Range>(items), lock.shared_handle()) {}

    /// Makes an array of copies of the items of a range, with options.
    template <detail::elements_for<T> Range>
    Array(const ArrayOptions& options, Range&& items)
        : Array(std::forward<Range>(items), detail::AnyHandle(), options) {}
    /// Makes an array of copies of the items of a range that `lock` guards, with options.
    template <detail::elements_for<T> Range>
    Array(const ArrayOptions& options, Range&& items, const BasicLock& lock)
        : Array(std::forward<Range>(items), lock.shared_handle(), options) {}

    /// Returns how many elements there are.
    [[nodiscard]] std::size_t size() const { return handle_.size(); }
    /// Returns whether there are none.
    [[nodiscard]] bool empty() const { return size() == 0; }

    /// Returns the element at `index`; a negative one counts from the end.
    /// @throws IndexError when there is none
    reference operator[](std::ptrdiff_t index) const {
        return {handle_.lock(), handle_.elements()[detail::checked_index(index, size())]};
    }

    /// Walks over the elements. Each access to one takes the lock.
    [[nodiscard]] iterator begin() const { return {handle_.lock(), handle_.elements()}; }
    /// Returns the end of the walk.
    [[nodiscard]] iterator end() const { return begin() + static_cast<std::ptrdiff_t>(size()); }

    /// Returns a copy of the elements from `start` to before `stop`, taken under the lock. The
    /// bounds are Python's: negative ones count from the end, those beyond an end are clipped to
    /// it.
    [[nodiscard]] std::vector<T> slice(std::ptrdiff_t start, std::ptrdiff_t stop) const {
        const detail::LockHolder holder(get_lock());
        const auto part = detail::sliced(get_obj(), start, stop);
        return {part.begin(), part.end()};
    }
    /// Returns a copy of the elements from `start` on.
    [[nodiscard]] std::vector<T> slice(std::ptrdiff_t start = 0) const {
        return slice(start, static_cast<std::ptrdiff_t>(size()));
    }

    /// Writes the elements from `start` to before `stop` under the lock.
    /// @throws ValueError when there are not as many items as elements
    template <detail::elements_for<T> Range>
    void set_slice(std::ptrdiff_t start, std::ptrdiff_t stop, Range&& items) const {
        std::vector<T> values;  // before the lock is taken: it may be slow, or be this array
        for (auto&& item : items) values.push_back(static_cast<T>(item));
        const detail::LockHolder holder(get_lock());
        const auto part = detail::sliced(get_obj(), start, stop);
        if (part.size() != values.size()) {
            throw ValueError("Can only assign sequence of same size");
        }
        std::copy(values.begin(), values.end(), part.begin());
    }
    /// Writes the items of the list to the elements from `start` to before `stop`.
    void set_slice(std::ptrdiff_t start, std::ptrdiff_t stop,
                   std::initializer_list<T> items) const {
        set_slice(start, stop, std::span(items));
    }

    /// Returns a copy of all elements, taken under the lock.
    [[nodiscard]] std::vector<T> to_vector() const { return slice(); }

    /// Returns the lock; copies of it are handles on the same lock.
    [[nodiscard]] AnyLock& get_lock() const { return handle_.lock(); }
    /// Returns the elements themselves: the lock is not taken.
    [[nodiscard]] std::span<T> get_obj() const { return {handle_.elements(), size()}; }

    /// Acquires the array's lock, see BasicLock::acquire.
    bool acquire(bool block = true, Timeout timeout = std::nullopt) const {
        return get_lock().acquire(block, timeout);
    }
    /// Does not compile: seconds in the place of `block` would mean true, and wait for ever.
    template <std::floating_point Seconds>
    bool acquire(Seconds) const = delete;  // write acquire(true, seconds)
    /// Releases the array's lock, see BasicLock::release.
    void release() const { get_lock().release(); }

    /// Returns the characters before the first NUL, as Python's attribute `value` does.
    [[nodiscard]] std::string value() const
        requires std::same_as<T, char>
    {
        std::string text = raw();
        text.resize((std::min)(text.find('\0'), text.size()));
        return text;
    }
    /// Writes the characters of `text`, and a NUL behind them if there is room.
    /// @throws ValueError when there is no room for them
    void set_value(std::string_view text) const
        requires std::same_as<T, char>
    {
        if (text.size() > size()) throw ValueError("byte string too long");
        const detail::LockHolder holder(get_lock());
        std::copy(text.begin(), text.end(), get_obj().begin());
        if (text.size() < size()) get_obj()[text.size()] = '\0';
    }
    /// Returns all characters.
    [[nodiscard]] std::string raw() const
        requires std::same_as<T, char>
    {
        const detail::LockHolder holder(get_lock());
        return {get_obj().begin(), get_obj().end()};
    }

    /// Two handles are equal when they are handles on the same array.
    friend bool operator==(const Array& a, const Array& b) noexcept {
        return a.handle_ == b.handle_;
    }

    /// For the library: the handle, in the form in which it is sent to other processes.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return handle_.any(); }
    /// For the library: makes an array of a handle that has arrived.
    static Array from_shared_handle(detail::AnyHandle handle) {
        return Array(detail::GuardedHandle<T>(std::move(handle)));
    }

    friend std::string text_of(const Array& array) {
        if constexpr (detail::readable_unlocked<T>) {
            return std::string("<Synchronized") + (std::same_as<T, char> ? "String" : "Array") +
                   " wrapper for " +
                   detail::shared_array_text(array.handle_.elements(), array.size()) + ">";
        } else {
            return "<SynchronizedArray size=" + std::to_string(array.size()) + ">";
        }
    }

  private:
    explicit Array(detail::GuardedHandle<T> handle) : handle_(std::move(handle)) {}

    template <class Range>
    Array(Range&& items, const detail::AnyHandle& lock, const ArrayOptions& options = {})
        : handle_(detail::count_items(items), lock, options) {
        T* place = handle_.elements();
        for (auto&& item : items) std::construct_at(place++, static_cast<T>(item));
    }

    detail::GuardedHandle<T> handle_;
};

/// Does not compile: Python's typecode is the type here, as in Array<double>.
template <detail::string_literal Code, class Items>
Array(Code&&, Items&&) -> Array<double>;

}  // namespace multiprocessing
