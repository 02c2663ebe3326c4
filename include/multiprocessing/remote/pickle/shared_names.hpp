// multiprocessing/remote/pickle/shared_names.hpp
//
// What the library's shared objects are called in Python, and what they say they hold. Floor 9.
// Start at Passing. SPDX-License-Identifier: MIT
#pragma once

#include <boost/container/container_fwd.hpp>

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>

namespace multiprocessing {

class Lock;
class RLock;
class Semaphore;
class BoundedSemaphore;
class Condition;
class Event;
class Barrier;
template <class T>
class Queue;
template <class T>
class SimpleQueue;
template <class T>
class JoinableQueue;
template <class T>
class Value;
template <class T>
class Array;
template <class T>
class RawArray;
template <class T>
class ListProxy;
template <class K, class V>
class DictProxy;
class NamespaceProxy;
template <class T>
class Shared;

namespace pickle {
class object;
}

}  // namespace multiprocessing

namespace multiprocessing::detail::pickles {

template <class T>
concept lettered_number = std::is_arithmetic_v<T> && !std::is_same_v<T, long double>;

/// The letter of a number's type, as Python's ctypes and array have it.
template <lettered_number T>
consteval std::string_view letter_of() {
    if constexpr (std::is_same_v<T, bool>) {
        return "?";
    } else if constexpr (std::is_same_v<T, char>) {
        return "c";
    } else if constexpr (std::is_same_v<T, wchar_t>) {
        return "u";
    } else if constexpr (std::is_floating_point_v<T>) {
        return sizeof(T) == 8 ? "d" : "f";
    } else {
        constexpr std::string_view letters = std::is_signed_v<T> ? "bhiq" : "BHIQ";
        return letters.substr(sizeof(T) == 8 ? 3 : sizeof(T) == 4 ? 2 : sizeof(T) == 2 ? 1 : 0, 1);
    }
}

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
template <> struct Passing<NamespaceProxy> : ObjectPassing<true> { static constexpr std::string_view kind = "Namespace", item = any_item; };
template <class T> struct Passing<Value<T>> : ObjectPassing<false> {};
template <class T> struct Passing<RawArray<T>> : ObjectPassing<false> {};
template <class T> struct Passing<Array<T>> : ObjectPassing<false> {};
template <lettered_number T> struct Passing<Value<T>> : ObjectPassing<true> { static constexpr std::string_view kind = "Value", item = letter_of<T>(); };
template <lettered_number T> struct Passing<RawArray<T>> : ObjectPassing<true> { static constexpr std::string_view kind = "RawArray", item = letter_of<T>(); };
template <lettered_number T> struct Passing<Array<T>> : ObjectPassing<true> { static constexpr std::string_view kind = "Array", item = letter_of<T>(); };
template <class T> struct Passing<Shared<T>> : ObjectPassing<false> {};
template <lettered_number T, class A> struct Passing<Shared<boost::container::vector<T, A, void>>> : ObjectPassing<true> { static constexpr std::string_view kind = "SharedVector", item = letter_of<T>(); };
// clang-format on

/// A handle on an object that Python knows too.
template <class T>
concept known_to_python = Passing<T>::is_object && requires { requires Passing<T>::can_pass; };

template <class T>
inline constexpr bool is_raw_array = false;
template <lettered_number T>
inline constexpr bool is_raw_array<RawArray<T>> = true;

}  // namespace multiprocessing::detail::pickles
