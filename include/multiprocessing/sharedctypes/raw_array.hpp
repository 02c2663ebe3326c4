// multiprocessing/sharedctypes/raw_array.hpp
//
// RawArray: objects in a row in shared memory, without a lock, which can be frozen. Mirrors CPython
// Lib/multiprocessing/sharedctypes.py, RawArray. Floor 4. Start at RawArray.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <new>
#include <ranges>
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
#include "multiprocessing/synchronize/trailing.hpp"

namespace multiprocessing {
namespace detail {

/// The head of a RawArray, in the same block as its elements.
struct RawArrayState : SharedObject {
    std::atomic<std::uint64_t> frozen{0};  //  0  1: the elements can only be read
    std::uint64_t size;                    //  8  how many elements there are
    std::uint64_t first = 0;               // 16  bytes from here to the first one

    explicit RawArrayState(std::uint64_t count) noexcept
        : SharedObject(ObjectKind::plain), size(count) {}

    /// Makes a state with `count` zeroed elements of `item` bytes.
    static Handle<RawArrayState> make(std::size_t count, std::size_t item, std::size_t alignment) {
        const std::size_t most_before = system_page_size() + alignment;
        if (count > (SIZE_MAX - most_before - sizeof(RawArrayState)) / item) throw std::bad_alloc();
        const std::size_t bytes = count * item;
        // The elements of a large one begin on a page of their own, see place_behind_head.
        const std::size_t before = bytes >= 4 * system_page_size() ? most_before : alignment;
        auto state = make_with_trailing<RawArrayState>(before + bytes, std::uint64_t{count});
        state->first = place_behind_head(reinterpret_cast<std::uintptr_t>(state.get()),
                                         sizeof(RawArrayState), bytes, alignment);
        return state;
    }

    [[nodiscard]] std::byte* elements() noexcept {
        return reinterpret_cast<std::byte*>(this) + first;
    }

    /// Returns the pages that hold nothing but elements.
    [[nodiscard]] PageRanges own_pages() {
        PageRanges ranges;
        const std::size_t block = heap().allocator().usable_size(heap().offset_of(this));
        add_whole_pages(ranges, elements(), block - first);
        return ranges;
    }
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

    /// Makes an array of `size` zeros, or of copies of `items`, as Array does.
    template <std::integral Size>
    explicit RawArray(Size size) : state_(make(detail::item_count(size))) {}
    /// Makes an array of copies of `items`.
    RawArray(std::initializer_list<T> items) : RawArray(std::span(items)) {}
    /// Makes an array of copies of the items of a range.
    template <detail::elements_for<T> Range>
        requires(!std::same_as<std::remove_cvref_t<Range>, RawArray>)
    explicit RawArray(Range&& items) : state_(make(detail::count_items(items))) {
        T* place = data();
        for (auto&& item : items) std::construct_at(place++, static_cast<T>(item));
    }

    /// Another handle on the same array.
    RawArray(const RawArray&) = default;
    /// Takes the handle over.
    RawArray(RawArray&&) noexcept = default;
    /// Lets go of its own array and becomes another handle on the other's.
    RawArray& operator=(RawArray other) noexcept {
        view_.reset();  // before the handle: afterwards the memory may be another object's
        state_ = std::move(other.state_);
        return *this;
    }
    ~RawArray() = default;

    /// Returns how many elements there are.
    [[nodiscard]] std::size_t size() const noexcept { return state_->size; }
    /// Says whether there is none.
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    /// Returns where the elements lie.
    [[nodiscard]] T* data() const {
        // relaxed: whoever was told that it is frozen, was told by something that orders the two.
        if (state_->frozen.load(std::memory_order_relaxed) != 0) look();
        return reinterpret_cast<T*>(state_->elements());
    }
    /// Walks over the elements.
    [[nodiscard]] T* begin() const { return data(); }
    /// Ends the walk.
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

    /// Ends all changes: from now on the elements can only be read. In this process, and in each
    /// other one from its next use of a handle on, a write to a page that is wholly the array's
    /// ends the process with SIGSEGV. All elements of an array of four pages or more lie on such
    /// pages; a smaller one shares them with other objects, and a write is not noticed. Again does
    /// nothing.
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

    /// For the library: the handle as it travels, and one that has arrived.
    [[nodiscard]] const detail::AnyHandle& shared_handle() const noexcept { return state_.any(); }
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

    static detail::Handle<detail::RawArrayState> make(std::size_t count) {
        detail::require_shareable<T>();
        return detail::RawArrayState::make(count, sizeof(T), alignof(T));
    }

    [[gnu::cold]] void look() const {
        if (!view_.has_looked()) view_.look(*state_, [this] { return state_->own_pages(); });
    }

    detail::Handle<detail::RawArrayState> state_;
    detail::ReadOnlyView view_;  // behind the handle: it goes first
};

}  // namespace multiprocessing
