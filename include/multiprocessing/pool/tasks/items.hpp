// multiprocessing/pool/tasks/items.hpp
//
// The type that the elements of a range are kept as until a function is called with them, and how
// it is called: map gives it the item, starmap spreads the item. Floor 5. Start at StoredItem and
// ItemCall. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>

#include "multiprocessing/process.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

/// The type that one element of a range is kept as until `F` is called with it: for map F's
/// parameter, for starmap the tuple of F's parameters.
template <class F, class Element, class Indices>
struct SpreadItem;
template <class F, class Element, std::size_t... I>
struct SpreadItem<F, Element, std::index_sequence<I...>> {
    template <std::size_t Index>
    using Part = decltype(std::get<Index>(std::declval<Element>()));
    using Type = stored_arguments_t<F, Part<I>...>;

    static constexpr bool fits = arguments_fit<F, Part<I>...>;
    using Refusal = ArgumentRefusal<F, Part<I>...>;
    static Type convert(Element&& element) {
        return store_arguments<F>(std::get<I>(std::forward<Element>(element))...);
    }
};
template <class F, class Element>
using SpreadItemOf =
    SpreadItem<F, Element,
               std::make_index_sequence<std::tuple_size_v<std::remove_cvref_t<Element>>>>;

/// The type that the elements count as. Elements of the type that F takes count as values, which
/// need no conversion, even where the range gives lvalues. To convert these may be impossible: a
/// vector of unique_ptr gives lvalues, whose objects are only read.
template <class Element, class Value, class Item>
using GivenItem = std::conditional_t<std::is_same_v<Value, Item>, Value, Element>;

template <class F, class Element>
using GivenToMap =
    GivenItem<Element, std::remove_cvref_t<Element>,
              std::tuple_element_t<0, stored_arguments_t<F, std::remove_cvref_t<Element>>>>;
template <class F, class Element>
using GivenToStarmap = GivenItem<Element, std::remove_cvref_t<Element>,
                                 typename SpreadItemOf<F, std::remove_cvref_t<Element>>::Type>;

template <class T>
concept spreadable = requires { std::tuple_size<std::remove_cvref_t<T>>::value; };

/// The compile error for elements that cannot be spread.
template <class Element>
struct StarmapTakesTuples {
    static constexpr bool is_tuple = spreadable<Element>;
    static_assert(is_tuple,
                  "multiprocessing: starmap needs a range of tuples, pairs or arrays, one element "
                  "for each parameter of the function; for a range of single items use map");
};

/// The refusal of elements of this type, with which F cannot be called; void when it can.
template <class F, class Element, bool spread>
consteval auto item_refusal() {
    if constexpr (!spread) {
        using Given = GivenToMap<F, Element>;
        return std::type_identity<
            std::conditional_t<arguments_fit<F, Given>, void, ArgumentRefusal<F, Given>>>{};
    } else if constexpr (!spreadable<Element>) {
        return std::type_identity<StarmapTakesTuples<Element>>{};
    } else {
        using Spread = SpreadItemOf<F, GivenToStarmap<F, Element>>;
        return std::type_identity<
            std::conditional_t<Spread::fits, void, typename Spread::Refusal>>{};
    }
}
template <class F, class Element, bool spread>
using ItemRefusal = typename decltype(item_refusal<F, Element, spread>())::type;

template <class F, class Element, bool spread>
consteval auto stored_item_type() {
    if constexpr (!std::is_void_v<ItemRefusal<F, Element, spread>>) {
        return std::type_identity<void>{};
    } else if constexpr (spread) {
        return std::type_identity<typename SpreadItemOf<F, GivenToStarmap<F, Element>>::Type>{};
    } else {
        using Arguments = stored_arguments_t<F, GivenToMap<F, Element>>;
        return std::type_identity<std::tuple_element_t<0, Arguments>>{};
    }
}
/// The type that the elements are kept as. It is void when F cannot be called with them.
template <class F, class Element, bool spread>
using StoredItem = typename decltype(stored_item_type<F, Element, spread>())::type;

/// The compile error for a string literal as a range: it would give its characters, and a zero.
template <class Range>
struct StringLiteralIsNoRange {
    static constexpr bool is_range_of_items = !std::is_array_v<std::remove_cvref_t<Range>>;
    static_assert(is_range_of_items,
                  "multiprocessing: a string literal is no range of items. For its characters give "
                  "a std::string, for one item a list: pool.map(f, {\"text\"})");
};
template <class Range>
inline constexpr bool is_string_literal = false;
template <std::size_t size>
inline constexpr bool is_string_literal<const char (&)[size]> = true;

/// Makes the result of a call whose refusal has ended the compilation, so that what the caller does
/// with it is no error too.
template <class R>
R refused() {
    std::terminate();
}

template <bool spread, class... Parameters>
consteval auto listed_item_type(TypeList<Parameters...>) {
    if constexpr (spread) {
        return std::type_identity<std::tuple<std::decay_t<Parameters>...>>{};
    } else {
        return std::type_identity<std::decay_t<parameter_t<void (*)(Parameters...), 0>>>{};
    }
}
template <bool spread>
consteval std::type_identity<unknown> listed_item_type(unknown) {
    return {};
}
/// The type of the items of a braced list that do not have one themselves, as in
/// starmap(f, {{1, 2}}).
template <class F, bool spread>
using ListedItem = typename decltype(listed_item_type<spread>(parameter_list_t<F>{}))::type;

/// Returns the element as an Item. If it is one already, this returns the element itself, not a
/// copy.
template <class F, class Item, bool spread, class Element>
decltype(auto) convert_item(Element&& element) {
    if constexpr (std::is_same_v<std::remove_cvref_t<Element>, Item>) {
        return std::forward<Element>(element);
    } else if constexpr (spread) {
        return SpreadItemOf<F, Element&&>::convert(std::forward<Element>(element));
    } else {
        return static_cast<Item>(std::forward<Element>(element));
    }
}

/// How a function is called with one item: map gives it the item, starmap spreads the item.
template <class F, class Item, bool spread>
struct ItemCall {
    static decltype(auto) call(F& f, Item& item) {
        if constexpr (spread) {
            return invoke_stored(f, item);
        } else {
            auto arguments = std::forward_as_tuple(item);
            return invoke_with(f, arguments);
        }
    }
    using Result = std::decay_t<decltype(call(std::declval<F&>(), std::declval<Item&>()))>;
};

}  // namespace multiprocessing::detail
