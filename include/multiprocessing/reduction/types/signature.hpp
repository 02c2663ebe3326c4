// multiprocessing/reduction/types/signature.hpp
//
// The parameter types of a callable that has only one signature. With them the process that gives
// the arguments can convert them. And what it returns. Floor 2. Start at parameter_list_t.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "multiprocessing/reduction/types/type_name.hpp"

namespace multiprocessing {
template <class F, class... Bound>
class Partial;
}

namespace multiprocessing::detail {

/// What parameter_list_t is for a generic lambda or an overloaded call operator.
struct unknown {};

/// The signature of a function type, without its qualifiers.
template <class>
struct Signature {};

// A member function may be const, volatile, & or &&, and noexcept. None of these changes its
// parameters.
#define MULTIPROCESSING_SIGNATURE(qualifiers)          \
    template <class R, class... Args>                  \
    struct Signature<R(Args...) qualifiers> {          \
        using Parameters = TypeList<Args...>;          \
        using Result = R;                              \
    };                                                 \
    template <class R, class... Args>                  \
    struct Signature<R(Args...) qualifiers noexcept> { \
        using Parameters = TypeList<Args...>;          \
        using Result = R;                              \
    };
MULTIPROCESSING_SIGNATURE()
MULTIPROCESSING_SIGNATURE(const)
MULTIPROCESSING_SIGNATURE(volatile)
MULTIPROCESSING_SIGNATURE(const volatile)
MULTIPROCESSING_SIGNATURE(&)
MULTIPROCESSING_SIGNATURE(const&)
MULTIPROCESSING_SIGNATURE(&&)
MULTIPROCESSING_SIGNATURE(const&&)
#undef MULTIPROCESSING_SIGNATURE

template <class>
struct MemberPointer {};
template <class Member, class Class>
struct MemberPointer<Member Class::*> {
    using Function = Member;
    using Owner = Class;
};

template <class First, class... Rest>
consteval TypeList<First, Rest...> prepend(TypeList<Rest...>) {
    return {};
}

template <std::size_t N, class First, class... Rest>
consteval auto drop(TypeList<First, Rest...>) {
    if constexpr (N == 0) {
        return TypeList<First, Rest...>{};
    } else if constexpr (sizeof...(Rest) == 0) {
        return TypeList<>{};
    } else {
        return drop<N - 1>(TypeList<Rest...>{});
    }
}
template <std::size_t N>
consteval TypeList<> drop(TypeList<>) {
    return {};
}
template <std::size_t N>
consteval unknown drop(unknown) {
    return {};
}

template <class F>
struct PartialParts {
    static constexpr bool is_partial = false;
};
template <class F, class... Bound>
struct PartialParts<Partial<F, Bound...>> {
    static constexpr bool is_partial = true;
    static constexpr std::size_t bound = sizeof...(Bound);
    using Function = F;
};

template <class F, class Object, class... Args>
consteval bool is_member_callable(TypeList<Args...>) {
    return std::is_invocable_v<F, Object, Args...>;
}

template <class F>
consteval auto parameters_of() {
    if constexpr (requires { typename Signature<F>::Parameters; }) {
        return typename Signature<F>::Parameters{};
    } else if constexpr (std::is_pointer_v<F>) {
        return parameters_of<std::remove_pointer_t<F>>();
    } else if constexpr (std::is_member_object_pointer_v<F>) {
        return TypeList<const typename MemberPointer<F>::Owner&>{};
    } else if constexpr (std::is_member_function_pointer_v<F>) {
        // The object comes first, as in std::invoke.
        using Class = typename MemberPointer<F>::Owner;
        using Rest = typename Signature<typename MemberPointer<F>::Function>::Parameters;
        if constexpr (is_member_callable<F, const Class&>(Rest{})) {
            return prepend<const Class&>(Rest{});
        } else if constexpr (is_member_callable<F, Class&>(Rest{})) {
            return prepend<Class&>(Rest{});
        } else {
            return prepend<Class&&>(Rest{});
        }
    } else if constexpr (PartialParts<F>::is_partial) {
        return drop<PartialParts<F>::bound>(
            parameters_of<std::decay_t<typename PartialParts<F>::Function>>());
    } else if constexpr (requires { &F::operator(); }) {
        using Call = typename MemberPointer<decltype(&F::operator())>::Function;
        return typename Signature<Call>::Parameters{};
    } else {
        return unknown{};
    }
}

template <class F>
consteval auto result_of_declaration() {
    if constexpr (requires { typename Signature<F>::Result; }) {
        return std::type_identity<std::decay_t<typename Signature<F>::Result>>{};
    } else if constexpr (std::is_pointer_v<F>) {
        return result_of_declaration<std::remove_pointer_t<F>>();
    } else if constexpr (std::is_member_function_pointer_v<F>) {
        return result_of_declaration<typename MemberPointer<F>::Function>();
    } else if constexpr (requires { &F::operator(); }) {
        return result_of_declaration<typename MemberPointer<decltype(&F::operator())>::Function>();
    } else {
        return std::type_identity<void>{};
    }
}

/// What F says that it returns, as a value; void where it does not say.
template <class F>
using declared_result_t = typename decltype(result_of_declaration<std::decay_t<F>>())::type;

/// The types of F's parameters as a TypeList, or `unknown`.
template <class F>
using parameter_list_t = decltype(parameters_of<std::decay_t<F>>());

}  // namespace multiprocessing::detail
