// multiprocessing/reduction/callables/arguments.hpp
//
// How the arguments of a call are kept until the call is made in another process. They are
// converted at once to the types that the function declares, as in a direct call ("A" becomes the
// std::string that it takes). They are handed over so that T, const T&, T& and T&& parameters all
// work. Floor 2. Start at store_arguments and invoke_stored. SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "multiprocessing/reduction/picklable.hpp"
#include "multiprocessing/reduction/types/signature.hpp"

namespace multiprocessing::detail {

template <class T>
inline constexpr bool is_c_string =
    std::is_same_v<std::decay_t<T>, const char*> || std::is_same_v<std::decay_t<T>, char*>;

/// What an argument is kept as when nothing is known of the parameter.
template <class Given>
using given_value_t = std::conditional_t<is_c_string<Given>, std::string, std::decay_t<Given>>;

/// A kept value of type Value can be passed to a parameter of type Parameter.
template <class Parameter, class Value>
concept passes_as =
    std::is_convertible_v<Value, Parameter> || std::is_convertible_v<Value&, Parameter> ||
    (std::is_same_v<Value, std::string> && std::is_same_v<std::decay_t<Parameter>, const char*>);

template <class Parameter, class Given>
consteval auto stored_type() {
    using Declared = std::decay_t<Parameter>;
    using Value = given_value_t<Given>;
    if constexpr (std::is_same_v<Parameter, unknown>) {
        return std::type_identity<Value>{};
    } else if constexpr (std::is_class_v<Value> && !std::is_same_v<Declared, Value> &&
                         std::is_base_of_v<Declared, Value>) {
        return std::type_identity<Value>{};  // for a `const Base&`, a Derived must not be sliced
    } else if constexpr (picklable<Declared> || !passes_as<Parameter, Value>) {
        return std::type_identity<Declared>{};
    } else if constexpr (picklable<Value>) {
        return std::type_identity<Value>{};  // for a string_view, span, const char*, std::function
    } else {
        return std::type_identity<Declared>{};
    }
}

/// T has no copy constructor, but a duplicate() for copies on purpose. When a variable is passed to
/// a parameter of such a type (without std::move), the parameter gets a duplicate, as Python's
/// args=(connection,) gives one to the child.
template <class T>
concept duplicable = !std::is_copy_constructible_v<T> && requires(const T& value) {
    { value.duplicate() } -> std::same_as<T>;
};

/// Says whether an argument that was passed as a Given is kept as a duplicate.
template <class Stored, class Given>
inline constexpr bool stored_as_duplicate =
    std::is_same_v<std::remove_cvref_t<Given>, Stored> && !std::is_convertible_v<Given, Stored> &&
    duplicable<Stored>;

/// What an argument of type Given is kept as for a parameter.
template <class Parameter, class Given>
using stored_argument_t = typename decltype(stored_type<Parameter, Given>())::type;

template <std::size_t I, class... Ts>
consteval auto nth_parameter(TypeList<Ts...>) {
    if constexpr (I < sizeof...(Ts)) {
        return std::type_identity<std::tuple_element_t<I, std::tuple<std::type_identity<Ts>...>>>{};
    } else {
        return std::type_identity<std::type_identity<unknown>>{};
    }
}
template <std::size_t I>
consteval auto nth_parameter(unknown) {
    return std::type_identity<std::type_identity<unknown>>{};
}
/// The type of F's parameter number I, or `unknown`.
template <class F, std::size_t I>
using parameter_t = typename decltype(nth_parameter<I>(parameter_list_t<F>{}))::type::type;

template <class F, class Indices, class... Given>
struct LeadingArguments;
template <class F, std::size_t... I, class... Given>
struct LeadingArguments<F, std::index_sequence<I...>, Given...> {
    using Types = TypeList<stored_argument_t<parameter_t<F, I>, Given>...>;
    using Tuple = std::tuple<stored_argument_t<parameter_t<F, I>, Given>...>;
    static constexpr bool convertible =
        ((std::is_convertible_v<Given, stored_argument_t<parameter_t<F, I>, Given>> ||
          stored_as_duplicate<stored_argument_t<parameter_t<F, I>, Given>, Given>)&&...);
};

/// How F's first arguments are kept, whether or not more are to follow.
template <class F, class... Given>
using LeadingArgumentsOf =
    LeadingArguments<std::decay_t<F>, std::index_sequence_for<Given...>, Given...>;

/// Returns `stored` as the parameter takes it, and gives its value away.
template <class Parameter, class Stored>
constexpr decltype(auto) pass_once(Stored& stored) {
    if constexpr (std::is_same_v<std::decay_t<Parameter>, const char*> &&
                  std::is_same_v<std::remove_cv_t<Stored>, std::string>) {
        return stored.c_str();
    } else if constexpr (std::is_lvalue_reference_v<Parameter> &&
                         std::is_convertible_v<Stored&, Parameter>) {
        return (stored);
    } else {
        return std::move(stored);
    }
}

/// As pass_once, for a value that is needed again.
template <class Parameter, class Stored>
constexpr decltype(auto) pass_kept(Stored& stored) {
    if constexpr (std::is_same_v<std::decay_t<Parameter>, const char*> &&
                  std::is_same_v<std::remove_cv_t<Stored>, std::string>) {
        return stored.c_str();
    } else if constexpr (std::is_rvalue_reference_v<Parameter>) {
        return std::remove_cv_t<Stored>(stored);
    } else {
        return (stored);
    }
}

/// Calls `f` with the elements of `arguments` (a tuple, pair or array), whose values it may use up.
template <class F, class Arguments>
decltype(auto) invoke_stored(F& f, Arguments& arguments) {
    using std::get;
    return [&]<std::size_t... I>(std::index_sequence<I...>) -> decltype(auto) {
        if constexpr (!std::is_same_v<parameter_list_t<F>, unknown>) {
            return std::invoke(f, pass_once<parameter_t<F, I>>(get<I>(arguments))...);
        } else if constexpr (std::is_invocable_v<F&, decltype(std::move(get<I>(arguments)))...>) {
            return std::invoke(f, std::move(get<I>(arguments))...);
        } else {
            return std::invoke(f, get<I>(arguments)...);  // an `auto&` parameter
        }
    }(std::make_index_sequence<std::tuple_size_v<std::remove_cv_t<Arguments>>>{});
}

/// As invoke_stored, for a tuple of references.
template <class F, class Arguments>
decltype(auto) invoke_with(F& f, Arguments&& arguments) {
    return invoke_stored(f, arguments);
}

/// The type of what `invoke_stored(f, arguments)` returns, as it is stored.
template <class F, class Arguments>
using stored_result_t = std::decay_t<decltype(invoke_stored(std::declval<std::decay_t<F>&>(),
                                                            std::declval<Arguments&>()))>;

enum class Fit { fits, too_many, too_few, wrong_types, not_invocable };

template <class F, class... Given, class... Parameters>
consteval Fit fit_of(TypeList<Parameters...>) {
    if constexpr (sizeof...(Given) > sizeof...(Parameters)) {
        return Fit::too_many;
    } else if constexpr (!LeadingArgumentsOf<F, Given...>::convertible) {
        return Fit::wrong_types;
    } else if constexpr (sizeof...(Given) == sizeof...(Parameters)) {
        return Fit::fits;
    } else {
        // The other parameters may have default arguments. A lambda's type tells that, a pointer's
        // type does not.
        return std::is_invocable_v<std::decay_t<F>&, given_value_t<Given>...> ? Fit::fits
                                                                              : Fit::too_few;
    }
}
template <class F, class... Given>
consteval Fit fit_of(unknown) {
    using Function = std::decay_t<F>;
    return std::is_invocable_v<Function&, given_value_t<Given>...> ||
                   std::is_invocable_v<Function&, given_value_t<Given>&...>
               ? Fit::fits
               : Fit::not_invocable;
}

/// Whether `f(given...)` can be called.
template <class F, class... Given>
inline constexpr bool arguments_fit = fit_of<F, Given...>(parameter_list_t<F>{}) == Fit::fits;

/// The compile error for arguments that do not fit. Compilers show its arguments: the function, its
/// parameter types, and the types of the arguments that were given.
template <class F, class Parameters, class... Given>
struct ArgumentsDoNotFit {
    template <Fit fit>
    static constexpr bool is = fit_of<F, Given...>(Parameters{}) == fit;
    static_assert(!is<Fit::too_many>,
                  "multiprocessing: more arguments are given than the function has parameters. The "
                  "arguments of ArgumentsDoNotFit are the function, its parameters (in a TypeList) "
                  "and the types that were given");
    static_assert(!is<Fit::too_few>,
                  "multiprocessing: fewer arguments are given than the function has parameters. "
                  "(Its type does not tell its default arguments: write them, or pass a lambda.) "
                  "The arguments of ArgumentsDoNotFit are the function, its parameters (in a "
                  "TypeList) and the types that were given");
    static_assert(
        !is<Fit::wrong_types>,
        "multiprocessing: an argument cannot be converted to the type of the function's "
        "parameter (a variable that cannot be copied needs std::move). The arguments of "
        "ArgumentsDoNotFit are the function, its parameters (in a TypeList) and the types "
        "that were given");
    static_assert(!is<Fit::not_invocable>,
                  "multiprocessing: the function cannot be called with these arguments. The "
                  "arguments of ArgumentsDoNotFit are the function, `unknown` (it is overloaded or "
                  "a template) and the types that were given");
};

/// The error for arguments that do not fit F.
template <class F, class... Given>
using ArgumentRefusal = ArgumentsDoNotFit<std::decay_t<F>, parameter_list_t<F>, Given...>;

/// The tuple in which arguments for F are kept.
template <class F, class... Given>
using stored_arguments_t = typename LeadingArgumentsOf<F, Given...>::Tuple;

template <class Stored, class Given>
Stored store_argument(Given&& given) {
    if constexpr (stored_as_duplicate<Stored, Given>) {
        return given.duplicate();
    } else {
        // static_cast: an int for a double parameter is accepted, as in a direct call.
        return static_cast<Stored>(std::forward<Given>(given));
    }
}

/// Converts arguments for F to its parameter types.
template <class F, class... Given>
stored_arguments_t<F, Given...> store_arguments(Given&&... given) {
    if constexpr (!arguments_fit<F, Given...>) {
        static_cast<void>(sizeof(ArgumentRefusal<F, Given...>));
        std::terminate();
    } else {
        return [&]<class... Stored>(std::type_identity<std::tuple<Stored...>>) {
            return std::tuple<Stored...>(
                store_argument<Stored, Given>(std::forward<Given>(given))...);
        }(std::type_identity<stored_arguments_t<F, Given...>>{});
    }
}

}  // namespace multiprocessing::detail
