// multiprocessing/shared_objects/not_shareable.hpp
//
// The compile error for a type that cannot lie in shared memory. Floor 4. Start at NotShareable.
// SPDX-License-Identifier: MIT
#pragma once

#include <type_traits>

#include "multiprocessing/reduction/types/kind.hpp"
#include "multiprocessing/reduction/types/type_name.hpp"
#include "multiprocessing/shared_objects/shareable.hpp"

namespace multiprocessing::detail {

/// The kinds of types that cannot lie in shared memory. The advice in the error depends on the
/// kind.
enum class Unshareable {
    pointer,
    text,
    vector,
    deque,
    list,
    ordered,
    hashed,
    smart_pointer,
    allocator,
    polymorphic,
    handle,
    base,
    other
};

template <class T>
consteval Unshareable unshareable_kind() {
    if constexpr (std::is_pointer_v<T> || std::is_reference_v<T> || std::is_null_pointer_v<T> ||
                  std::is_member_function_pointer_v<T> || is_standard<T>("basic_string_view<") ||
                  is_standard<T>("span<") || is_standard<T>("reference_wrapper<") ||
                  is_standard<T>("function<")) {
        return Unshareable::pointer;
    } else if constexpr (is_standard<T>("basic_string<") || is_standard<T>("filesystem::")) {
        return Unshareable::text;
    } else if constexpr (is_standard<T>("vector<")) {
        return Unshareable::vector;
    } else if constexpr (is_standard<T>("deque<")) {
        return Unshareable::deque;
    } else if constexpr (is_standard<T>("list<") || is_standard<T>("forward_list<")) {
        return Unshareable::list;
    } else if constexpr (is_standard<T>("map<") || is_standard<T>("set<") ||
                         is_standard<T>("multimap<") || is_standard<T>("multiset<")) {
        return Unshareable::ordered;
    } else if constexpr (is_standard<T>("unordered_")) {
        return Unshareable::hashed;
    } else if constexpr (is_standard<T>("unique_ptr<") || is_standard<T>("shared_ptr<") ||
                         is_standard<T>("weak_ptr<")) {
        return Unshareable::smart_pointer;
    } else if constexpr (requires { typename T::allocator_type; }) {
        return Unshareable::allocator;
    } else if constexpr (std::is_polymorphic_v<T>) {
        return Unshareable::polymorphic;
    } else if constexpr (handle_type<T> || self_archiving<T>) {
        return Unshareable::handle;
    } else if constexpr (std::is_aggregate_v<T>) {
        return Unshareable::base;
    } else {
        return Unshareable::other;
    }
}

/// Says whether the type is not of this kind. Clang shows the arguments of this template.
template <Unshareable kind, class Where, class Type>
inline constexpr bool is_free_of = kind != unshareable_kind<Type>();

/// The compile error. Compilers show its arguments: the type that cannot lie in shared memory, and
/// where it is.
template <class Where, class Type>
struct NotShareable {
    static_assert(is_free_of<Unshareable::pointer, Where, Type>,
                  "multiprocessing: this type cannot lie in shared memory: it has a pointer, "
                  "reference, string_view, span or function, which means something in one "
                  "process only. Put the object itself there, or the index of it in an "
                  "mp::shared::vector. The struct, the number of its member (from 1) and its "
                  "type are the arguments of NotShareable");
    static_assert(is_free_of<Unshareable::text, Where, Type>,
                  "multiprocessing: this type cannot lie in shared memory: a std::string keeps "
                  "its text in the memory of one process. Use mp::shared::string. The struct, "
                  "the number of its member (from 1) and its type are the arguments of "
                  "NotShareable");
    static_assert(is_free_of<Unshareable::vector, Where, Type>,
                  "multiprocessing: this type cannot lie in shared memory: a std::vector keeps "
                  "its elements in the memory of one process. Use mp::shared::vector. The "
                  "struct, the number of its member (from 1) and its type are the arguments of "
                  "NotShareable");
    static_assert(is_free_of<Unshareable::deque, Where, Type>,
                  "multiprocessing: this type cannot lie in shared memory: a std::deque keeps "
                  "its elements in the memory of one process. Use mp::shared::deque. The "
                  "struct, the number of its member (from 1) and its type are the arguments of "
                  "NotShareable");
    static_assert(is_free_of<Unshareable::list, Where, Type>,
                  "multiprocessing: this type cannot lie in shared memory: a std::list keeps "
                  "its elements in the memory of one process. Use mp::shared::list. The "
                  "struct, the number of its member (from 1) and its type are the arguments of "
                  "NotShareable");
    static_assert(is_free_of<Unshareable::ordered, Where, Type>,
                  "multiprocessing: this type cannot lie in shared memory: a std::map or "
                  "std::set keeps its elements in the memory of one process. Use "
                  "mp::shared::map, mp::shared::set. The struct, the number of its member "
                  "(from 1) and its type are the arguments of NotShareable");
    static_assert(is_free_of<Unshareable::hashed, Where, Type>,
                  "multiprocessing: this type cannot lie in shared memory: a "
                  "std::unordered_map or std::unordered_set keeps its elements in the memory "
                  "of one process. Use mp::shared::unordered_map, mp::shared::unordered_set. "
                  "The struct, the number of its member (from 1) and its type are the "
                  "arguments of NotShareable");
    static_assert(is_free_of<Unshareable::smart_pointer, Where, Type>,
                  "multiprocessing: this type cannot lie in shared memory: a smart pointer "
                  "points into the memory of one process. Put the object itself there, in a "
                  "std::optional where it may be missing. The struct, the number of its member "
                  "(from 1) and its type are the arguments of NotShareable");
    static_assert(is_free_of<Unshareable::allocator, Where, Type>,
                  "multiprocessing: this type cannot lie in shared memory: a container without "
                  "mp::allocator keeps its elements in the memory of one process. Use "
                  "mp::shared::vector and its like. The struct, the number of its member (from "
                  "1) and its type are the arguments of NotShareable");
    static_assert(is_free_of<Unshareable::polymorphic, Where, Type>,
                  "multiprocessing: this type cannot lie in shared memory: a class with "
                  "virtual functions has the address of its table of functions, which is "
                  "another in each process. Use a class without them, or a std::variant. The "
                  "struct, the number of its member (from 1) and its type are the arguments of "
                  "NotShareable");
    static_assert(is_free_of<Unshareable::handle, Where, Type>,
                  "multiprocessing: this type cannot lie in shared memory: a handle (a Queue, "
                  "Lock, Value or the like) is counted by the process that has it. Pass it "
                  "beside the object, or have it in a manager's dict or list. The struct, the "
                  "number of its member (from 1) and its type are the arguments of "
                  "NotShareable");
    static_assert(is_free_of<Unshareable::base, Where, Type>,
                  "multiprocessing: this type cannot lie in shared memory: the fields of a "
                  "struct with more than 64 of them, or with a base class that has fields, "
                  "cannot be seen. If its bytes are its value in every process, set "
                  "mp::bitwise_picklable for it; else have the base as a field. The struct, "
                  "the number of its member (from 1) and its type are the arguments of "
                  "NotShareable");
    static_assert(is_free_of<Unshareable::other, Where, Type>,
                  "multiprocessing: this type cannot lie in shared memory: the fields of this "
                  "class cannot be seen. If it is yours, make it an aggregate or, if its bytes "
                  "are its value in every process, set mp::bitwise_picklable for it. The "
                  "struct, the number of its member (from 1) and its type are the arguments of "
                  "NotShareable");
    static constexpr bool value = true;
};

template <class Where, class Type>
consteval auto refusal_of(Blame<Where, Type>) {
    return std::type_identity<NotShareable<Where, Type>>{};
}

/// The refusal of a T that cannot lie in shared memory, with the reason.
template <class T>
using ShareRefusal =
    typename decltype(refusal_of(decltype(blame_in<std::remove_cv_t<T>>()){}))::type;

}  // namespace multiprocessing::detail
