// multiprocessing/shared_objects/shareable.hpp
//
// The concept of the types that can lie in shared memory. For a type that cannot, it finds the
// member that is to blame; not_shareable.hpp makes the compile error of it. Floor 4. Start at
// shareable.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <type_traits>

#include "multiprocessing/reduction/types/fields.hpp"
#include "multiprocessing/reduction/types/kind.hpp"
#include "multiprocessing/reduction/types/type_name.hpp"
#include "multiprocessing/shared_objects/allocator.hpp"

namespace multiprocessing::detail {

template <class T>
inline constexpr bool is_heap_allocator = false;
template <class T>
inline constexpr bool is_heap_allocator<allocator<T>> = true;
template <class T>
inline constexpr bool is_heap_allocator<NodeAllocator<T>> = true;

/// T is a Boost container with the family's allocator: all that it points to is shared too.
template <class T>
concept shared_container =
    requires { typename T::allocator_type; } && is_heap_allocator<typename T::allocator_type> &&
    (type_name<T>().starts_with("boost::container::") ||
     type_name<T>().starts_with("boost::unordered"));

/// Returns the types that a container consists of. The types of its functions (an order, a hash)
/// are among them.
template <class T>
consteval auto parts_of_container() {
    if constexpr (requires { typename T::hasher; }) {
        if constexpr (requires { typename T::mapped_type; }) {
            return TypeList<typename T::key_type, typename T::mapped_type, typename T::hasher,
                            typename T::key_equal>{};
        } else {
            return TypeList<typename T::key_type, typename T::hasher, typename T::key_equal>{};
        }
    } else if constexpr (requires { typename T::mapped_type; }) {
        return TypeList<typename T::key_type, typename T::mapped_type, typename T::key_compare>{};
    } else if constexpr (requires { typename T::key_compare; }) {
        return TypeList<typename T::key_type, typename T::key_compare>{};
    } else {
        return TypeList<typename T::value_type>{};
    }
}

template <class T>
inline constexpr bool is_plain_atomic = false;
template <class T>
inline constexpr bool is_plain_atomic<std::atomic<T>> =
    bitwise<T> && std::atomic<T>::is_always_lock_free;  // else its lock is local to each process

/// A member of a struct, by its number (from 1).
template <class Struct, std::size_t number>
struct Member {};
/// No member: the type itself is to blame, or a type that its containers hold.
struct TheTypeItself {};

/// The reason why some type cannot lie in shared memory: the type that is to blame, and where it
/// is.
template <class Where, class Type>
struct Blame {};

/// Returns the first Blame in T, or type_identity<void>. A type that is being looked at already (a
/// Tree in the vector<Tree> of a Tree) counts as shareable.
template <class T, class... Visiting>
consteval auto blame_in();

template <class... Visiting>
consteval std::type_identity<void> first_blame(TypeList<>) {
    return {};
}
template <class... Visiting, class First, class... Rest>
consteval auto first_blame(TypeList<First, Rest...>) {
    using Found = decltype(blame_in<std::remove_cv_t<First>, Visiting...>());
    if constexpr (std::is_same_v<Found, std::type_identity<void>>) {
        return first_blame<Visiting...>(TypeList<Rest...>{});
    } else {
        return Found{};
    }
}

template <class Struct, std::size_t number, class Type>
consteval Blame<Member<Struct, number>, Type> placed_in(Blame<TheTypeItself, Type>) {
    return {};
}
template <class Struct, std::size_t number, class Inner, std::size_t inner_number, class Type>
consteval Blame<Member<Inner, inner_number>, Type> placed_in(
    Blame<Member<Inner, inner_number>, Type> blame) {
    return blame;
}
template <class Struct, std::size_t, class>
consteval std::type_identity<void> placed_in(std::type_identity<void> none) {
    return none;
}

template <class Struct, std::size_t number, class... Visiting>
consteval std::type_identity<void> blame_in_members(TypeList<>) {
    return {};
}
template <class Struct, std::size_t number, class... Visiting, class First, class... Rest>
consteval auto blame_in_members(TypeList<First, Rest...>) {
    using Found = decltype(blame_in<std::remove_cv_t<First>, Visiting...>());
    if constexpr (std::is_same_v<Found, std::type_identity<void>>) {
        return blame_in_members<Struct, number + 1, Visiting...>(TypeList<Rest...>{});
    } else {
        return placed_in<Struct, number>(Found{});
    }
}

template <class T, class... Visiting>
consteval auto blame_in() {
    if constexpr ((std::is_same_v<T, Visiting> || ...)) {
        return std::type_identity<void>{};
    } else if constexpr (std::is_bounded_array_v<T>) {
        return blame_in<std::remove_cv_t<std::remove_all_extents_t<T>>, Visiting...>();
    } else if constexpr (!std::is_class_v<T>) {
        if constexpr (bitwise<T> && !std::is_null_pointer_v<T>) {
            return std::type_identity<void>{};
        } else {
            return Blame<TheTypeItself, T>{};
        }
    } else if constexpr (shared_container<T>) {
        return first_blame<Visiting..., T>(parts_of_container<T>());
    } else if constexpr (bitwise<T> || is_plain_atomic<T>) {
        return std::type_identity<void>{};
    } else if constexpr (is_standard<T>("pair<") || is_standard<T>("tuple<") ||
                         is_standard<T>("variant<")) {
        return first_blame<Visiting..., T>(ArgumentsOf<T>{});
    } else if constexpr (is_standard<T>("array<") || is_standard<T>("optional<")) {
        return first_blame<Visiting..., T>(TypeList<typename T::value_type>{});
    } else if constexpr (!is_library_type<T>() && reflectable<T>) {
        return blame_in_members<T, 1, Visiting..., T>(FieldTypes<T>{});
    } else {
        return Blame<TheTypeItself, T>{};
    }
}

}  // namespace multiprocessing::detail

namespace multiprocessing {

/// T's objects can lie in shared memory, which each process maps at another address. Such types are
/// those whose bytes are their value (numbers, enums, structs of them; no pointer), lock-free
/// atomics, the containers of multiprocessing::shared, and what consists of such types: a pair,
/// tuple, array, optional, variant or aggregate.
///
///     struct Table { mp::shared::map<mp::shared::string, int> counts; double mean; };
///     static_assert(mp::shareable<Table> && !mp::shareable<std::string>);
template <class T>
concept shareable =
    std::is_object_v<T> &&
    std::is_same_v<decltype(detail::blame_in<std::remove_cv_t<T>>()), std::type_identity<void>>;

}  // namespace multiprocessing
