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
#include "multiprocessing/managers/namespace_proxy.hpp"
#include "multiprocessing/python/arrays.hpp"
#include "multiprocessing/queues.hpp"
#include "multiprocessing/remote/pickle/pickle.hpp"
#include "multiprocessing/remote/pickle/shared_names.hpp"
#include "multiprocessing/shared_memory/block.hpp"
#include "multiprocessing/shared_objects/state.hpp"
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
          sizeof(ObjectState), std::size_t{2}}) {
        hash = (hash ^ number) * 0x100'0000'01b3u;  // FNV-1a
    }
    return hash;
}();

using pickles::any_item;
using pickles::Passing;

/// The compile error for an object whose items Python could not read.
template <class T>
struct CannotBePassed {
    static constexpr bool is_known_to_python = Passing<T>::can_pass;
    static_assert(
        is_known_to_python,
        "multiprocessing: Python knows queues and lists of mp::pickle::object, dicts from "
        "std::string to mp::pickle::object, namespaces, and values, arrays and shared vectors of "
        "numbers. Pass "
        "such a one: mp::Queue<mp::pickle::object>. The type is the argument of "
        "CannotBePassed");
};

/// A block of memory goes by its name.
inline constexpr std::string_view memory_kind = "SharedMemory";

/// Returns an argument for the other program. @throws ValueError as pickle::dumps
template <class T>
GuestArgument argument_of(const T& value) {
    using Type = std::decay_t<const T&>;
    if constexpr (std::is_same_v<Type, AnyLock>) {
        return {value.state().is_recursive() ? "RLock" : "Lock", "", value.shared_handle(), ""};
    } else if constexpr (std::is_same_v<Type, shared_memory::SharedMemory>) {
        return {std::string(memory_kind), "", AnyHandle(), pickle::dumps(value.name())};
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
    if constexpr (std::is_same_v<T, shared_memory::SharedMemory>) {
        if (argument.kind != memory_kind) refuse_argument(argument, "a SharedMemory");
        return T({.name = pickle::loads<std::string>(argument.value)});
    } else if constexpr (!Passing<T>::is_object) {
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
