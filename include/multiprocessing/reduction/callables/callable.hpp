// multiprocessing/reduction/callables/callable.hpp
//
// What can be called in another process, and the compile error for what cannot. Floor 2. Start at
// portable_callable.
// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>
#include <type_traits>

#include "multiprocessing/reduction/picklable.hpp"
#include "multiprocessing/reduction/types/signature.hpp"

namespace multiprocessing::detail {

struct WithCallOperator {
    void operator()();
};
template <class F>
struct CallOperatorProbe : F, WithCallOperator {};

/// Says whether the class F has an operator(), which may be overloaded or a template. The probe
/// inherits a second operator(). When F has one too, the name is ambiguous.
template <class F>
consteval bool has_call_operator() {
    if constexpr (std::is_final_v<F>) {
        return true;  // F cannot be a base class: an error is left to the call
    } else {
        return !requires { &CallOperatorProbe<F>::operator(); };
    }
}

template <class F>
consteval bool is_function_like() {
    if constexpr (std::is_class_v<F>) {
        return has_call_operator<F>();
    } else {
        return (std::is_pointer_v<F> && std::is_function_v<std::remove_pointer_t<F>>) ||
               std::is_member_pointer_v<F>;
    }
}

}  // namespace multiprocessing::detail

namespace multiprocessing {

/// F can be called in another process: a function, a lambda without captures, a functor without
/// state, a functor that is picklable (an aggregate with operator()), a pointer to a member, or an
/// mp::partial.
template <class F>
concept portable_callable =
    picklable<std::decay_t<F>> && detail::is_function_like<std::decay_t<F>>();

}  // namespace multiprocessing

namespace multiprocessing::detail {

/// Why F cannot be called in another process.
enum class CallObstacle { none, closure, type_erased, text, not_a_function, state };

template <class F>
consteval CallObstacle call_obstacle_of() {
    constexpr std::string_view name = type_name<F>();
    if constexpr (portable_callable<F>) {
        return CallObstacle::none;
    } else if constexpr (PartialParts<F>::is_partial) {
        return CallObstacle::state;
    } else if constexpr (is_standard<F>("function<") || is_standard<F>("move_only_function<") ||
                         is_standard<F>("_Bind") || is_standard<F>("__bind") ||
                         is_standard<F>("_Mem_fn<") || is_standard<F>("reference_wrapper<")) {
        return CallObstacle::type_erased;
    } else if constexpr (std::is_convertible_v<F, std::string_view>) {
        return CallObstacle::text;
    } else if constexpr (!is_function_like<F>()) {
        return CallObstacle::not_a_function;
    } else {
        // GCC: "main()::<lambda(int)>", Clang: "(lambda at file.cpp:1:2)"
        return name.find("<lambda") != name.npos || name.find("(lambda at") != name.npos
                   ? CallObstacle::closure
                   : CallObstacle::state;
    }
}

/// The compile error. Compilers show its arguments: the callable, and the type inside of it that
/// cannot travel (void when that is not known).
template <class F, class Because>
struct CannotBeCalledElsewhere {
    template <CallObstacle obstacle>
    static constexpr bool is = call_obstacle_of<F>() == obstacle;
    static_assert(!is<CallObstacle::closure>,
                  "multiprocessing: a lambda with captures cannot be called in another process: "
                  "what it captured cannot be seen, so it cannot be sent. Pass the captured values "
                  "as arguments, or bind them with mp::partial(f, values...), or use a struct with "
                  "fields and an operator(). (Process under the start method fork does accept it)");
    static_assert(!is<CallObstacle::type_erased>,
                  "multiprocessing: a std::function, std::bind or std::bind_front object cannot be "
                  "called in another process: what is in it cannot be seen, so it cannot be sent. "
                  "Pass the function itself, or mp::partial(f, arguments...)");
    static_assert(!is<CallObstacle::text>,
                  "multiprocessing: a text stands where the function is expected. A name is given "
                  "in front of it: mp::Process p({.name = \"worker\"}, f, arguments...)");
    static_assert(!is<CallObstacle::not_a_function>,
                  "multiprocessing: this is not a function: a function, a lambda without captures, "
                  "a functor, a pointer to a member or mp::partial(f, arguments...) is needed");
    static_assert(!is<CallObstacle::state>,
                  "multiprocessing: this functor cannot be called in another process, because its "
                  "state cannot travel there: make it an aggregate of types that can, or give it a "
                  "cereal serialize() function. The two arguments of CannotBeCalledElsewhere are "
                  "the functor and the type in it that cannot travel");
};

/// The error for an F that cannot be called in another process.
template <class F>
using CallRefusal = CannotBeCalledElsewhere<F, Culprit<F>>;

/// Ends the compilation when F cannot be called in another process, and tells the reason.
template <class F>
constexpr void require_portable_callable() {
    using Function = std::decay_t<F>;
    if constexpr (!portable_callable<Function>) static_cast<void>(sizeof(CallRefusal<Function>));
}

}  // namespace multiprocessing::detail
