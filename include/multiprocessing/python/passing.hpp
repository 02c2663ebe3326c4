// multiprocessing/python/passing.hpp
//
// What goes between C++ and a program of Python that is a process of the family: the library's
// objects, each with its class and the type of what it holds, and values, as pickles. Floor 10.
// Start at Passing. SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/managers/dict_proxy.hpp"
#include "multiprocessing/managers/list_proxy.hpp"
#include "multiprocessing/python/arrays.hpp"
#include "multiprocessing/queues.hpp"
#include "multiprocessing/remote/pickle/pickle.hpp"
#include "multiprocessing/sharedctypes.hpp"
#include "multiprocessing/start_method/guest.hpp"
#include "multiprocessing/synchronize.hpp"

namespace multiprocessing::detail::pythons {

/// Says how the objects lie in memory, to be compared with what the other program says. The last
/// number is to be raised with each change that the sizes do not tell.
inline constexpr std::uint64_t object_layout = [] {
    std::uint64_t hash = HeapHeader::expected_magic;
    for (const std::size_t number :
         {sizeof(HeapHeader), sizeof(ProcessRecord), sizeof(QueueState), sizeof(LockState),
          sizeof(SemaphoreState), sizeof(ConditionState), sizeof(EventState), sizeof(BarrierState),
          sizeof(GuardedState), sizeof(RawArrayState), sizeof(DictState), sizeof(ListState),
          std::size_t{2}}) {
        hash = (hash ^ number) * 0x100'0000'01b3u;  // FNV-1a
    }
    return hash;
}();

/// The letter of a number's type, as Python's ctypes and array have it.
template <class T>
consteval std::string_view letter_of() {
    if constexpr (std::is_same_v<T, bool>) {
        return "?";
    } else if constexpr (std::is_same_v<T, char>) {
        return "c";
    } else if constexpr (std::is_same_v<T, wchar_t>) {
        return "u";
    } else {
        constexpr std::string_view letters = "bBhHiIqQfd";
        return letters.substr(letters.find(format_of<T>()), 1);
    }
}
template <class T>
concept lettered = is_number<T> || std::is_same_v<T, bool> || std::is_same_v<T, wchar_t>;

/// What a queue of any object of Python, a dict or a list holds.
inline constexpr std::string_view any_item = "object";

/// How a T goes to Python: as a value, here, or as an object, which has a `kind` (the name of its
/// class there) and an `item` (the type of what it holds).
template <class T>
struct Passing {
    static constexpr bool is_object = false;
};

/// An object of the library.
template <bool is_known>
struct ObjectPassing {
    static constexpr bool is_object = true;
    static constexpr bool can_pass = is_known;
};
// clang-format off
template <> struct Passing<Lock> : ObjectPassing<true> { static constexpr std::string_view kind = "Lock", item = ""; };
template <> struct Passing<RLock> : ObjectPassing<true> { static constexpr std::string_view kind = "RLock", item = ""; };
template <> struct Passing<Semaphore> : ObjectPassing<true> { static constexpr std::string_view kind = "Semaphore", item = ""; };
template <> struct Passing<BoundedSemaphore> : ObjectPassing<true> { static constexpr std::string_view kind = "BoundedSemaphore", item = ""; };
template <> struct Passing<Condition> : ObjectPassing<true> { static constexpr std::string_view kind = "Condition", item = ""; };
template <> struct Passing<Event> : ObjectPassing<true> { static constexpr std::string_view kind = "Event", item = ""; };
template <> struct Passing<Barrier> : ObjectPassing<true> { static constexpr std::string_view kind = "Barrier", item = ""; };
template <class T> struct Passing<Queue<T>> : ObjectPassing<std::same_as<T, pickle::object>> { static constexpr std::string_view kind = "Queue", item = any_item; };
template <class T> struct Passing<SimpleQueue<T>> : ObjectPassing<std::same_as<T, pickle::object>> { static constexpr std::string_view kind = "SimpleQueue", item = any_item; };
template <class T> struct Passing<JoinableQueue<T>> : ObjectPassing<std::same_as<T, pickle::object>> { static constexpr std::string_view kind = "JoinableQueue", item = any_item; };
template <class T> struct Passing<ListProxy<T>> : ObjectPassing<std::same_as<T, pickle::object>> { static constexpr std::string_view kind = "list", item = any_item; };
template <class K, class V> struct Passing<DictProxy<K, V>> : ObjectPassing<std::same_as<K, std::string> && std::same_as<V, pickle::object>> { static constexpr std::string_view kind = "dict", item = any_item; };
template <class T> struct Passing<Value<T>> : ObjectPassing<false> {};
template <class T> struct Passing<RawArray<T>> : ObjectPassing<false> {};
template <class T> struct Passing<Array<T>> : ObjectPassing<false> {};
template <lettered T> struct Passing<Value<T>> : ObjectPassing<true> { static constexpr std::string_view kind = "Value", item = letter_of<T>(); };
template <lettered T> struct Passing<RawArray<T>> : ObjectPassing<true> { static constexpr std::string_view kind = "RawArray", item = letter_of<T>(); };
template <lettered T> struct Passing<Array<T>> : ObjectPassing<true> { static constexpr std::string_view kind = "Array", item = letter_of<T>(); };
// clang-format on

/// The compile error for an object whose items Python could not read.
template <class T>
struct CannotBePassed {
    static constexpr bool is_known_to_python = Passing<T>::can_pass;
    static_assert(
        is_known_to_python,
        "multiprocessing: Python knows queues and lists of mp::pickle::object, dicts from "
        "std::string to mp::pickle::object, and values and arrays of numbers. Pass such "
        "a one: mp::Queue<mp::pickle::object>. The type is the argument of "
        "CannotBePassed");
};

/// Returns an argument for the other program. @throws ValueError as pickle::dumps
template <class T>
GuestArgument argument_of(const T& value) {
    using Type = std::decay_t<const T&>;
    if constexpr (std::is_same_v<Type, AnyLock>) {
        return {value.state().is_recursive() ? "RLock" : "Lock", "", value.shared_handle(), ""};
    } else if constexpr (!Passing<Type>::is_object) {
        return {"", "", AnyHandle(), pickle::dumps(value)};
    } else if constexpr (Passing<Type>::can_pass) {
        return {std::string(Passing<Type>::kind), std::string(Passing<Type>::item),
                value.shared_handle(), ""};
    } else {
        static_cast<void>(sizeof(CannotBePassed<Type>));
        return {};
    }
}

/// Throws the TypeError for an argument that is another object, or none.
[[noreturn, gnu::cold]] inline void refuse_argument(const GuestArgument& argument,
                                                    std::string_view wanted) {
    const std::string found = argument.kind.empty() ? "a value" : "a " + argument.kind;
    throw TypeError("this argument is " + found +
                    (argument.item.empty() ? "" : " of '" + argument.item + "'") + ", not " +
                    std::string(wanted));
}

/// Returns what an argument is, as a T. @throws TypeError when it is something else
template <class T>
T value_of(const GuestArgument& argument) {
    if constexpr (!Passing<T>::is_object) {
        if (!argument.kind.empty()) refuse_argument(argument, "a value");
        return pickle::loads<T>(argument.value);
    } else if constexpr (Passing<T>::can_pass) {
        if (argument.kind != Passing<T>::kind || argument.item != Passing<T>::item) {
            std::string wanted = "a " + std::string(Passing<T>::kind);
            if (!Passing<T>::item.empty()) wanted += " of '" + std::string(Passing<T>::item) + "'";
            refuse_argument(argument, wanted);
        }
        return T::from_shared_handle(argument.handle);
    } else {
        static_cast<void>(sizeof(CannotBePassed<T>));
        std::abort();
    }
}

}  // namespace multiprocessing::detail::pythons
