// multiprocessing/shared_memory/item.hpp
//
// What a ShareableList holds: an integer, a floating-point number, a truth value, text, bytes, or
// nothing. Floor 4. Start at ShareableItem. SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/errors.hpp"

namespace cereal {
class access;
}

namespace multiprocessing {
namespace shared_memory {
class ShareableElement;
class ShareableItem;
}  // namespace shared_memory

namespace detail {

using ItemVariant =
    std::variant<std::int64_t, double, bool, std::string, std::vector<std::byte>, std::nullopt_t>;

template <class T>
inline constexpr bool is_character =
    std::is_same_v<T, char> || std::is_same_v<T, wchar_t> || std::is_same_v<T, char8_t> ||
    std::is_same_v<T, char16_t> || std::is_same_v<T, char32_t>;

/// An integer type whose values are numbers: 'a' is more likely to be meant as text.
template <class T>
concept item_integer = std::integral<T> && !std::same_as<T, bool> && !is_character<T>;

/// Text: this includes a string literal, which would otherwise be a truth value.
template <class T>
concept item_text = std::convertible_to<const T&, std::string_view>;
template <class T>
concept item_bytes = !item_text<T> && std::convertible_to<const T&, std::span<const std::byte>>;

/// T is a type as which an item can be read.
template <class T>
concept item_value = item_integer<T> || std::floating_point<T> || std::same_as<T, bool> ||
                     std::same_as<T, std::string> || std::same_as<T, std::vector<std::byte>> ||
                     std::same_as<T, std::nullopt_t>;

/// T is a type from which an item can be made.
template <class T>
inline constexpr bool makes_item =
    item_value<T> || item_text<T> || item_bytes<T> || std::same_as<T, ItemVariant>;
template <class T>
inline constexpr bool makes_item<std::optional<T>> = makes_item<T>;

template <class T>
inline constexpr bool is_optional_item = false;
template <class T>
inline constexpr bool is_optional_item<std::optional<T>> = true;

/// A range whose items can become those of a list. Text is no such range: it is one item.
template <class Range>
concept range_of_items = std::ranges::input_range<Range> && !item_text<std::remove_cvref_t<Range>>;

/// A T from which an item is made, or that gets an error which says what an item can be. Empty
/// classes are left out: those that find the fields of a struct (reduction/types/fields.hpp) must
/// not take an item for a field that they can fill. Iterators are left out too, for the sake of
/// std::vector<ShareableItem>{begin, end}.
template <class T>
concept item_source = std::same_as<T, std::nullopt_t> ||
                      (!std::is_empty_v<T> && !std::same_as<T, shared_memory::ShareableItem> &&
                       !std::same_as<T, shared_memory::ShareableElement> &&
                       !(std::is_class_v<T> && std::input_or_output_iterator<T>));

/// The compile error for a T of which no item can be made.
template <class T>
struct CannotBeItem {
    static constexpr bool is_item = makes_item<T>;
    static_assert(is_item,
                  "multiprocessing: this type cannot be an item of a ShareableList, which holds "
                  "integers, floating-point numbers, bool, strings, bytes (std::vector<std::byte>) "
                  "and std::nullopt. Take a manager's list, or a Queue, for other types");
};

/// Returns the item that a value means. @throws ValueError for an integer beyond std::int64_t
template <class T>
ItemVariant make_item(T&& value) {
    using Value = std::remove_cvref_t<T>;
    if constexpr (!makes_item<Value>) {
        static_cast<void>(sizeof(CannotBeItem<Value>));
        return std::nullopt;
    } else if constexpr (is_optional_item<Value>) {
        return value ? make_item(*std::forward<T>(value)) : ItemVariant(std::nullopt);
    } else if constexpr (item_integer<Value>) {
        if (!std::in_range<std::int64_t>(value)) {
            throw ValueError("an integer in a ShareableList must fit a std::int64_t");
        }
        return static_cast<std::int64_t>(value);
    } else if constexpr (std::floating_point<Value>) {
        return static_cast<double>(value);
    } else if constexpr (item_text<Value> && !std::same_as<Value, std::string>) {
        return std::string(static_cast<std::string_view>(value));
    } else if constexpr (item_bytes<Value> && !item_value<Value>) {
        const std::span<const std::byte> bytes(value);
        return std::vector<std::byte>(bytes.begin(), bytes.end());
    } else {
        return std::forward<T>(value);
    }
}

/// Says whether two items are the same, as Python compares: 1, 1.0 and true are.
bool same_items(const ItemVariant& a, const ItemVariant& b);

/// Returns an item as Python's repr writes it.
std::string text_of_item(const ItemVariant& item);

}  // namespace detail

namespace shared_memory {

/// An item of a ShareableList: a std::variant of std::int64_t, double, bool, std::string,
/// std::vector<std::byte> and std::nullopt_t (Python's None). It can be made from anything that
/// means one of these: `1`, `2.5F`, `true`, `"text"`, a string_view, a span of bytes, a
/// std::optional.
///
/// Items compare as in Python: 1, 1.0 and true are the same; text and bytes never are.
class ShareableItem : public detail::ItemVariant {
  public:
    /// Makes None.
    ShareableItem() noexcept : variant(std::nullopt) {}
    /// Makes an item that means `value`.
    /// @throws ValueError for an integer that does not fit a std::int64_t
    template <class T>
        requires detail::item_source<std::remove_cvref_t<T>>
    ShareableItem(T&& value) : variant(detail::make_item(std::forward<T>(value))) {}

    /// Compares as Python does: 1, 1.0 and true are equal.
    friend bool operator==(const ShareableItem& a, const ShareableItem& b) {
        return detail::same_items(a.base(), b.base());
    }

    // A template: nearly everything converts to an item, even a vector of items.
    template <std::same_as<ShareableItem> Item>
    friend std::string text_of(const Item& item) {
        return detail::text_of_item(item.base());
    }

  private:
    friend class cereal::access;

    [[nodiscard]] const detail::ItemVariant& base() const noexcept { return *this; }

    template <class Archive>
    void save(Archive& archive) const {
        archive(base());
    }
    template <class Archive>
    void load(Archive& archive) {
        archive(static_cast<detail::ItemVariant&>(*this));
    }
};

}  // namespace shared_memory

namespace detail {

/// The alternative as which an item keeps a T.
template <class T>
using ItemAlternative = std::conditional_t<item_integer<T>, std::int64_t,
                                           std::conditional_t<std::floating_point<T>, double, T>>;

template <class Alternative>
inline constexpr std::size_t item_type_number = [] {
    std::size_t number = 0;
    const auto count = [&]<class... Ts>(const std::variant<Ts...>*) {
        (void)((std::is_same_v<Ts, Alternative> || (++number, false)) || ...);
    };
    count(static_cast<const ItemVariant*>(nullptr));
    return number;
}();

/// Throws the TypeError for an item of the alternative `found` that is read as `wanted`.
[[noreturn, gnu::cold]] void throw_item_type(std::size_t found, std::size_t wanted);

/// Returns the item as a T. @throws TypeError when it is of another type
/// @throws ValueError when it is an integer that a T cannot hold
template <class T>
T item_as(ItemVariant item) {
    constexpr bool is_read_from_items = item_value<T>;
    static_assert(is_read_from_items,
                  "multiprocessing: an item of a ShareableList can be read as an integer, a "
                  "floating-point number, a bool, a std::string, a std::vector<std::byte> or a "
                  "std::nullopt_t");
    if constexpr (!item_value<T>) {
        throw TypeError("no type of an item");
    } else {
        using Alternative = ItemAlternative<T>;
        Alternative* const value = std::get_if<Alternative>(&item);
        if (value == nullptr) throw_item_type(item.index(), item_type_number<Alternative>);
        if constexpr (item_integer<T>) {
            if (!std::in_range<T>(*value)) throw ValueError("the item does not fit the type");
        }
        return static_cast<T>(std::move(*value));
    }
}

}  // namespace detail
}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/shared_memory/item.ipp"
#endif
