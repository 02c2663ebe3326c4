// multiprocessing/reduction/picklable.hpp
//
// The concept of what can travel between processes, and the compile error for what cannot. The
// error says which type it is, which field or element of it is to blame, and what to do. Floor 2.
// Start at picklable. SPDX-License-Identifier: MIT
#pragma once

#include <tuple>
#include <type_traits>

#include "multiprocessing/reduction/functions/function_identity.hpp"
#include "multiprocessing/reduction/picklers/cereal_types.hpp"
#include "multiprocessing/reduction/picklers/containers.hpp"
#include "multiprocessing/reduction/picklers/pickler.hpp"
#include "multiprocessing/reduction/picklers/pointers.hpp"
#include "multiprocessing/reduction/picklers/products.hpp"
#include "multiprocessing/reduction/types/kind.hpp"
#include "multiprocessing/reduction/types/type_name.hpp"

namespace multiprocessing::detail {

/// The type to blame when T cannot travel, or void. `Visiting` are the types that are being looked
/// at already (a Tree, for the vector<Tree> in it): they are assumed to be able to travel.
template <class T, class... Visiting>
consteval auto culprit_of();

template <class... Visiting>
consteval std::type_identity<void> first_culprit(TypeList<>) {
    return {};
}
template <class... Visiting, class First, class... Rest>
consteval auto first_culprit(TypeList<First, Rest...>) {
    using Culprit = decltype(culprit_of<std::remove_cv_t<First>, Visiting...>());
    if constexpr (std::is_same_v<Culprit, std::type_identity<void>>) {
        return first_culprit<Visiting...>(TypeList<Rest...>{});
    } else {
        return Culprit{};
    }
}

template <class T, class... Visiting>
consteval auto culprit_of() {
    if constexpr ((std::is_same_v<T, Visiting> || ...)) {
        return std::type_identity<void>{};
    } else if constexpr (kind<T> == Kind::unsupported) {
        // void itself stands for "none"; as a type it has no values at all.
        return std::type_identity<std::conditional_t<std::is_void_v<T>, void*, T>>{};
    } else if constexpr (kind<T> == Kind::aggregate) {
        return first_culprit<Visiting..., T>(typename Pickler<T>::Elements{});
    } else {
        return first_culprit<Visiting...>(typename Pickler<T>::Elements{});
    }
}

template <class T>
using Culprit = typename decltype(culprit_of<std::remove_cv_t<T>>())::type;

}  // namespace multiprocessing::detail

namespace multiprocessing {

/// T's values can travel between processes. Such types are arithmetic types and enums, std::string,
/// the standard containers, pair, tuple, optional, variant, smart pointers, chrono types,
/// filesystem::path, aggregates of such fields, types with cereal functions, and the library's own
/// handles.
/// @par Source CPython Lib/multiprocessing/reduction.py, ForkingPickler
template <class T>
concept picklable = !std::is_void_v<T> && std::is_void_v<detail::Culprit<T>>;

}  // namespace multiprocessing

namespace multiprocessing::detail {

/// Why Culprit cannot travel, for the message.
enum class Obstacle { none, pointer, polymorphic, ambiguous, fields, other };

template <class T>
consteval Obstacle obstacle_of() {
    if constexpr (std::is_void_v<T>) {
        return Obstacle::none;
    } else if constexpr (std::is_pointer_v<T> || std::is_reference_v<T> ||
                         is_standard<T>("basic_string_view<") || is_standard<T>("span<") ||
                         is_standard<T>("reference_wrapper<")) {
        return Obstacle::pointer;
    } else if constexpr (is_standard<T>("unique_ptr<") || is_standard<T>("shared_ptr<") ||
                         is_standard<T>("weak_ptr<")) {
        return Obstacle::polymorphic;
    } else if constexpr (std::is_class_v<T>) {
        using cereal::traits::detail::count_output_serializers;
        return count_output_serializers<T, OutputArchive>::value > 1 ? Obstacle::ambiguous
               : std::is_aggregate_v<T>                              ? Obstacle::fields
                                                                     : Obstacle::other;
    } else {
        return Obstacle::other;
    }
}

/// The compile error. Compilers show its arguments: the type that should travel, and the type
/// inside of it that cannot.
template <class Type, class Because>
struct CannotTravel {
    template <Obstacle obstacle>
    static constexpr bool is = obstacle_of<Because>() == obstacle;
    static_assert(!is<Obstacle::pointer>,
                  "multiprocessing: this type cannot travel between processes, because a raw "
                  "pointer, reference, string_view or span means nothing in another process: send "
                  "the object itself (a std::string, std::vector, std::unique_ptr), or write a "
                  "cereal serialize() function. The two types are the arguments of CannotTravel");
    static_assert(!is<Obstacle::polymorphic>,
                  "multiprocessing: this type cannot travel between processes: a smart pointer to "
                  "an array, with a deleter, or to a polymorphic class (its object may be of a "
                  "derived one) cannot, unless <cereal/types/polymorphic.hpp> is included and the "
                  "classes are registered. The two types are the arguments of CannotTravel");
    static_assert(
        !is<Obstacle::ambiguous>,
        "multiprocessing: this type cannot travel between processes, because it has more "
        "than one set of cereal functions (one may be inherited): choose with "
        "CEREAL_SPECIALIZE_FOR_ALL_ARCHIVES, see cereal/specialize.hpp. The two types are "
        "the arguments of CannotTravel");
    static_assert(!is<Obstacle::fields>,
                  "multiprocessing: this type cannot travel between processes, because the fields "
                  "of a struct with more than 64 of them, with a base class that has fields, with "
                  "an anonymous union, or with bit-fields beside fields that are not plain bytes, "
                  "cannot be seen: write a cereal serialize() function for it. The two types are "
                  "the arguments of CannotTravel");
    static_assert(!is<Obstacle::other>,
                  "multiprocessing: this type cannot travel between processes: give it a cereal "
                  "serialize() function, or make it an aggregate of types that can (a raw pointer, "
                  "reference, string_view or span never can), or set bitwise_picklable for it. The "
                  "two types are the arguments of CannotTravel");
};

/// The error for a T that cannot travel. Here and elsewhere: a refusal is a type that says in one
/// static_assert, when it is completed, why something is refused. It is completed by a sizeof, and
/// nothing else is compiled beside it: after a static_assert of a function's own, Clang takes the
/// function for damaged, and complains about each use of it.
template <class T>
using TravelRefusal = CannotTravel<T, Culprit<T>>;

template <class T>
constexpr void require_picklable() {
    if constexpr (!picklable<T>) static_cast<void>(sizeof(TravelRefusal<T>));
}

/// The refusal of the first of these types that cannot travel; void when all can. It is that of a
/// tuple's element: a message about an argument's type says more than one about the tuple.
consteval std::type_identity<void> first_refusal(TypeList<>) { return {}; }
template <class First, class... Rest>
consteval auto first_refusal(TypeList<First, Rest...>) {
    if constexpr (picklable<First>) {
        return first_refusal(TypeList<Rest...>{});
    } else {
        return std::type_identity<TravelRefusal<First>>{};
    }
}
template <class>
struct ElementsOf;
template <class... Ts>
struct ElementsOf<std::tuple<Ts...>> {
    using Refusal = typename decltype(first_refusal(TypeList<Ts...>{}))::type;
};

}  // namespace multiprocessing::detail
