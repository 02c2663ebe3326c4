// multiprocessing/sharedctypes/raw_array.hpp
//
// RawArray: objects in a row in shared memory, without a lock. It can be frozen. Mirrors CPython
// Lib/multiprocessing/sharedctypes.py, RawArray. Floor 4. Start at RawArray.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/index.hpp"
#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/heap/read_only.hpp"
#include "multiprocessing/sharedctypes/content.hpp"
#include "multiprocessing/sharedctypes/guard.hpp"
#include "multiprocessing/sharedctypes/items.hpp"

namespace multiprocessing {
namespace detail {

/// The head of a RawArray, in the same block as its elements.
struct RawArrayState : SharedObject {
    std::atomic<std::uint64_t> frozen{0};  //  0  1: the elements can only be read
    std::uint64_t size;                    //  8  how many elements there are
    std::uint64_t first = 0;               // 16  bytes from here to the first one

    /// @param is_passing whether its pages may rest when it ends: others like it will come
    explicit RawArrayState(std::uint64_t count, bool is_passing = false) noexcept
        : SharedObject(ObjectKind::plain, is_passing ? rests : 0), size(count) {}

    /// Makes a state with `count` zeroed elements of `item` bytes. @throws std::bad_alloc
    static Handle<RawArrayState> make(std::size_t count, std::size_t item, std::size_t alignment,
                                      const ArrayOptions& options);
    /// Makes one whose elements the caller is about to write, as of a message.
    /// @throws std::bad_alloc
    static Handle<RawArrayState> make_to_fill(std::size_t count, std::size_t item);

    [[nodiscard]] std::byte* elements() noexcept {
        return reinterpret_cast<std::byte*>(this) + first;
    }

    /// Makes the pages that hold nothing but elements read-only in this process.
    /// @param view what keeps them so; it has not looked yet
    void protect(const ReadOnlyView& view);
};
static_assert(sizeof(RawArrayState) == sizeof(SharedObject) + 24);

}  // namespace detail

/// Objects of a trivially copyable type in a row in shared memory, without a lock; a handle, and a
/// contiguous range.
/// @par Source CPython Lib/multiprocessing/sharedctypes.py, RawArray
template <class T>
class RawArray {
  public:
    using value_type = T;
    using iterator = T*;

    /// Makes an array of `size` zeros. @throws std::bad_alloc @throws ValueError a negative size
    template <std::integral Size>
    explicit RawArray(Size size) : RawArray(ArrayOptions{}, size) {}
    /// Makes an array of `size` zeros, with options.
    template <std::integral Size>
    RawArray(const ArrayOptions& options, Size size)
        : state_(make(detail::item_count(size), options)) {}
    /// Makes an array of copies of `items`.
    RawArray(std::initializer_list<T> items) : RawArray(std::span(items)) {}
    /// Makes an array of copies of the items of a range.
    template <detail::elements_for<T> Range>
        requires(!std::same_as<std::remove_cvref_t<Range>, RawArray>)
    explicit RawArray(Range&& items) : RawArray(ArrayOptions{}, std::forward<Range>(items)) {}
    /// Makes an array of copies of the items of a range, with options.
    template <detail::elements_for<T> Range>
    RawArray(const ArrayOptions& options, Range&& items)
        : state_(make(detail::count_items(items), options)) {
        T* place = data();
        for (auto&& item : items) std::construct_at(place++, static_cast<T>(item));
    }

    /// Another handle on the same array.
    RawArray(const RawArray&) = default;
    /// Takes over the other's handle.
    RawArray(RawArray&&) noexcept = default;
    /// Lets go of its own array and becomes another handle on the other's.
    RawArray& operator=(RawArray other) noexcept {
        view_.reset();  // before the handle: later the memory may belong to another object
        state_ = std::move(other.state_);
        return *this;
    }
    ~RawArray() = default;

    /// Returns how many elements there are.
    [[nodiscard]] std::size_t size() const { return state_->size; }
    /// Returns whether there are none.
    [[nodiscard]] bool empty() const { return size() == 0; }
    /// Returns where the elements lie.
    [[nodiscard]] T* data() const {
        // relaxed: whatever tells a process that the array is frozen also orders the two.
        if (state_->frozen.load(std::memory_order_relaxed) != 0) look();
        return reinterpret_cast<T*>(state_->elements());
    }
    /// Walks over the elements.
    [[nodiscard]] T* begin() const { return data(); }
    /// Returns the end of the walk.
    [[nodiscard]] T* end() const { return data() + size(); }

    /// Returns the element at `index`; a negative one counts from the end.
    /// @throws IndexError when there is none
    T& operator[](std::ptrdiff_t index) const {
        return data()[detail::checked_index(index, size())];
    }

    /// Returns a copy of the elements from `start` to before `stop`, as Array::slice.
    [[nodiscard]] std::vector<T> slice(std::ptrdiff_t start, std::ptrdiff_t stop) const {
        const auto part = detail::sliced(std::span(begin(), end()), start, stop);
        return {part.begin(), part.end()};
    }
    /// Returns a copy of all elements.
    [[nodiscard]] std::vector<T> to_vector() const { return {begin(), end()}; }

    /// Ends all changes: from now on the elements can only be read. A write to a page that belongs
    /// to the array alone ends the process with SIGSEGV. This holds in this process at once, and in
    /// each other process from its next use of a handle on. All elements of an array of four pages
    /// or more lie on such pages. A smaller array shares its pages with other objects, and a write
    /// is not noticed. A second call does nothing.
    /// @par Processes A process that has kept a pointer or an iterator from before, and uses no
    /// handle any more, is not stopped.
    void freeze() const {
        state_->frozen.store(1, std::memory_order_release);
        look();
    }

    /// Two handles are equal when they are handles on the same array.
    friend bool operator==(const RawArray& a, const RawArray& b) noexcept {
        return a.state_ == b.state_;
    }

    /// For the library: the handle, in the form in which it is sent to other processes.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return state_.any(); }
    /// For the library: makes an array of a handle that has arrived.
    static RawArray from_shared_handle(detail::AnyHandle handle) {
        return RawArray(detail::Handle<detail::RawArrayState>(std::move(handle)));
    }

    friend std::string text_of(const RawArray& array) {
        if constexpr (detail::readable_unlocked<T>) {
            return "RawArray(" + detail::shared_array_text(array.data(), array.size()) + ")";
        } else {
            return "<RawArray size=" + std::to_string(array.size()) + ">";
        }
    }

  private:
    explicit RawArray(detail::Handle<detail::RawArrayState> state) : state_(std::move(state)) {
        if (state_->frozen.load(std::memory_order_relaxed) != 0) look();
    }

    static detail::Handle<detail::RawArrayState> make(std::size_t count,
                                                      const ArrayOptions& options) {
        static_cast<void>(sizeof(detail::CannotBeShared<T>));
        return detail::RawArrayState::make(count, sizeof(T), alignof(T), options);
    }

    [[gnu::cold]] void look() const {
        if (!view_.has_looked()) state_->protect(view_);
    }

    detail::Handle<detail::RawArrayState> state_;
    detail::ReadOnlyView view_;  // after the handle, so that it is destroyed first
};

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/sharedctypes/raw_array.ipp"
#endif
