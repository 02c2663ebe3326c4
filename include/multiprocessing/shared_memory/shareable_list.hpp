// multiprocessing/shared_memory/shareable_list.hpp
//
// ShareableList: a list of numbers, texts and the like in a named block, which C++ and Python
// programs share. Mirrors CPython Lib/multiprocessing/shared_memory.py, ShareableList. Floor 4.
// Start at ShareableList; its bytes are in list_layout.hpp. SPDX-License-Identifier: MIT
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/shared_memory/block.hpp"
#include "multiprocessing/shared_memory/item.hpp"
#include "multiprocessing/shared_memory/list_layout.hpp"

namespace multiprocessing::shared_memory {

class ShareableList;

/// The place that `list[i]` returns. The item is read when it is looked at, and written when it is
/// assigned to. An element must not outlive the list object that gave it.
///
///     double d = list[1];   list[0] = "text";   if (list[2] == std::nullopt) …
class ShareableElement {
  public:
    /// Refers to the same place of the list.
    ShareableElement(const ShareableElement&) = default;

    /// Writes an item to the place.
    /// @throws ValueError when the item is too long for its place; then nothing is changed
    const ShareableElement& operator=(const ShareableItem& item) const;
    /// Assigns the other's item, not its place.
    const ShareableElement& operator=(const ShareableElement& other) const {
        return *this = other.item();
    }

    /// Returns the item. @throws ValueError when the list is damaged or closed
    [[nodiscard]] ShareableItem item() const;
    /// Returns the item.
    operator ShareableItem() const { return item(); }

    /// Returns the item as a T. @throws TypeError when it is of another type; else as item
    template <class T>
    [[nodiscard]] T get() const {
        return detail::item_as<T>(item());
    }
    /// Returns the item as a T. @throws TypeError when it is of another type
    template <detail::item_value T>
    operator T() const {
        return get<T>();
    }

    /// Compares the item with a value, as Python does.
    // A template: a conversion to ShareableItem would compete with those to numbers.
    template <std::convertible_to<ShareableItem> T>
    friend bool operator==(const ShareableElement& element, const T& value) {
        return element.item() == ShareableItem(value);
    }

    friend std::string text_of(const ShareableElement& element);

  private:
    friend class ShareableList;
    ShareableElement(const ShareableList& list, std::size_t place) noexcept
        : list_(&list), place_(place) {}

    const ShareableList* list_;
    std::size_t place_;
};

/// Where a list lies. Designated initialisers name the field.
struct ShareableListOptions {
    std::string name = {};  ///< of the block, without a slash; empty: a new name
};

/// A list of fixed length in a block of shared memory. Its items can be replaced, even by items of
/// another type, if they fit the place that the first item had.
///
///     ShareableList list({1, 2.5, "text", true, std::nullopt, bytes});
///     list[0] = 7;   double d = list.get<double>(1);   list[-1] = std::nullopt;
///     ShareableList same(ShareableListOptions{name});       // in another program, or in Python
///     list.shm().unlink();                                  // once, as for SharedMemory
///
/// Text must be UTF-8, or Python cannot read it. The place of text or bytes has 1 to 8 bytes more
/// than they take.
///
/// Differs: CPython gives text as many bytes as it has characters, and cuts the rest off. Text and
/// bytes lose zeros at their end when Python reads or writes them; here they keep them, up to a
/// length of 999,999 bytes, by a format that Python reads as the usual one. A block
/// that holds no such list is a ValueError here, and never an access outside of the block.
/// @par Processes As for SharedMemory; the list travels as its block does. There is no lock:
/// without a Lock, a reader may find None while a writer replaces an item. A process that is killed
/// meanwhile leaves a list that can be read: the item is the old one, the new one, or None.
/// @par Source CPython Lib/multiprocessing/shared_memory.py, ShareableList
class ShareableList {
  public:
    using value_type = ShareableItem;
    using reference = ShareableElement;
    class iterator;
    using const_iterator = iterator;

    /// Makes a list of `items`, under a name of `options` or a new one.
    /// @throws ValueError when an item is too long for a list (9,999,991 bytes), or the name is bad
    /// @throws std::system_error EEXIST, ENOSPC, and as SharedMemory
    explicit ShareableList(std::initializer_list<ShareableItem> items)
        : ShareableList(ShareableListOptions{}, items) {}
    /// Makes a list of `items`, with options.
    ShareableList(ShareableListOptions options, std::initializer_list<ShareableItem> items)
        : ShareableList(std::move(options), Items{items}) {}

    /// Makes a list of the items of a range: another list, a vector of numbers, of strings, …
    template <detail::range_of_items Range>
        requires(!std::same_as<std::remove_cvref_t<Range>, ShareableList>)
    explicit ShareableList(Range&& items)
        : ShareableList(ShareableListOptions{}, Items{collected(items)}) {}
    /// Makes a list of the items of a range, with options.
    template <detail::range_of_items Range>
    ShareableList(ShareableListOptions options, Range&& items)
        : ShareableList(std::move(options), Items{collected(items)}) {}

    /// Attaches to an existing list. Write the type of the options: Clang 16 needs it here.
    /// @throws std::system_error ENOENT, and as SharedMemory
    /// @throws ValueError without a name, and when the block does not hold a list
    explicit ShareableList(ShareableListOptions options);

    /// Takes the other's list over; the other is closed then.
    ShareableList(ShareableList&&) noexcept = default;
    /// Takes the other's list over; the other is closed then.
    ShareableList& operator=(ShareableList&&) noexcept = default;
    /// Closes; the block stays.
    ~ShareableList() = default;

    /// Returns how many items there are.
    [[nodiscard]] std::size_t size() const noexcept { return layout_.count(); }
    /// Says whether there are no items.
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }

    /// Returns the place at `index`. A negative index counts from the end.
    /// @throws IndexError when there is no such place
    reference operator[](std::ptrdiff_t index) const { return {*this, place(index)}; }

    /// Returns the item at `index`. @throws IndexError
    /// @throws ValueError when the list is damaged, or its block is closed
    [[nodiscard]] ShareableItem item(std::ptrdiff_t index) const;
    /// Returns the item at `index` as a T. An integer or floating-point item can be read as any
    /// type of its kind.
    /// @throws TypeError when it is of another type; ValueError when the integer does not fit T,
    ///         and as item
    template <class T>
    [[nodiscard]] T get(std::ptrdiff_t index) const {
        return detail::item_as<T>(item(index));
    }

    /// Walks over the items.
    [[nodiscard]] iterator begin() const noexcept;
    /// Ends the walk.
    [[nodiscard]] iterator end() const noexcept;

    /// Returns the formats of all items, or of one, as Python's struct module writes them: "q8sd".
    [[nodiscard]] std::string format() const;
    /// Returns the format of one item.
    [[nodiscard]] std::string format(std::ptrdiff_t index) const;

    /// Returns how many items are equal to `item`, as Python compares: 1, 1.0 and true are.
    [[nodiscard]] std::size_t count(const ShareableItem& item) const;
    /// Returns the index of the first item that is equal to `item`.
    /// @throws ValueError when there is none
    [[nodiscard]] std::size_t index(const ShareableItem& item) const;

    /// Returns the block that the list lies in: to close it, unlink it, or ask for its name.
    [[nodiscard]] SharedMemory& shm() noexcept { return shm_; }
    /// Returns the block.
    [[nodiscard]] const SharedMemory& shm() const noexcept { return shm_; }

    /// Returns a second object for the same list, as SharedMemory::duplicate.
    [[nodiscard]] ShareableList duplicate() const;

    /// Differs: a long list prints only its first 100 items; in Python a closed list does not
    /// print.
    friend std::string text_of(const ShareableList& list);

  private:
    friend class cereal::access;
    friend class ShareableElement;

    ShareableList() noexcept = default;

    struct Items {  // a type of its own, which no range of a program has
        std::span<const ShareableItem> all;
    };
    ShareableList(ShareableListOptions options, Items items);
    ShareableList(ShareableListOptions options, Items items, detail::ListLayout layout);

    template <class Range>
    static std::vector<ShareableItem> collected(Range& range) {
        std::vector<ShareableItem> items;
        for (auto&& item : range) items.emplace_back(std::forward<decltype(item)>(item));
        return items;
    }

    [[nodiscard]] std::size_t place(std::ptrdiff_t index) const;
    void replace(std::size_t place, const ShareableItem& item) const;

    template <class Archive>
    void save(Archive& archive) const {
        archive(shm_);
    }
    template <class Archive>
    void load(Archive& archive) {
        archive(shm_);
        layout_ = detail::ListLayout(shm_.buf());
    }

    SharedMemory shm_;
    detail::ListLayout layout_;
};

/// Walks the items of a list.
class ShareableList::iterator {
  public:
    using value_type = ShareableItem;
    using difference_type = std::ptrdiff_t;
    using reference = ShareableItem;
    using pointer = void;
    using iterator_concept = std::random_access_iterator_tag;
    using iterator_category = std::input_iterator_tag;  // it gives values, not references

    iterator() = default;
    iterator(const ShareableList& list, difference_type index) noexcept
        : list_(&list), index_(index) {}

    reference operator*() const { return list_->item(index_); }
    reference operator[](difference_type n) const { return list_->item(index_ + n); }
    iterator& operator++() noexcept { return *this += 1; }
    iterator& operator--() noexcept { return *this += -1; }
    iterator operator++(int) noexcept { return std::exchange(*this, *this + 1); }
    iterator operator--(int) noexcept { return std::exchange(*this, *this - 1); }
    iterator& operator+=(difference_type n) noexcept {
        index_ += n;
        return *this;
    }
    iterator& operator-=(difference_type n) noexcept { return *this += -n; }
    friend iterator operator+(iterator at, difference_type n) noexcept { return at += n; }
    friend iterator operator+(difference_type n, iterator at) noexcept { return at += n; }
    friend iterator operator-(iterator at, difference_type n) noexcept { return at -= n; }
    friend difference_type operator-(iterator a, iterator b) noexcept {
        return a.index_ - b.index_;
    }
    friend bool operator==(iterator a, iterator b) noexcept { return a.index_ == b.index_; }
    friend std::strong_ordering operator<=>(iterator a, iterator b) noexcept {
        return a.index_ <=> b.index_;
    }

  private:
    const ShareableList* list_ = nullptr;
    difference_type index_ = 0;
};

inline ShareableList::iterator ShareableList::begin() const noexcept { return {*this, 0}; }
inline ShareableList::iterator ShareableList::end() const noexcept {
    return {*this, static_cast<std::ptrdiff_t>(size())};
}

inline const ShareableElement& ShareableElement::operator=(const ShareableItem& item) const {
    list_->replace(place_, item);
    return *this;
}
inline ShareableItem ShareableElement::item() const {
    return list_->item(static_cast<std::ptrdiff_t>(place_));
}
inline std::string text_of(const ShareableElement& element) { return text_of(element.item()); }

}  // namespace multiprocessing::shared_memory

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/shared_memory/shareable_list.ipp"
#endif
