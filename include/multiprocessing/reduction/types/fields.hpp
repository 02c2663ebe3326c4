// multiprocessing/reduction/types/fields.hpp
//
// The fields of an aggregate, without a line of boilerplate from its author: how many there are,
// which types they have, and a way to visit them. Floor 2. Start at Fields.
//
// The idea is that of Boost.PFR: count the initialisers that T{...} takes, then take T apart with a
// structured binding. PFR itself is not used for four reasons. Its counter instantiates
// sizeof(T) * 8 conversions (a struct with a std::array<char, 1 << 20> does not compile in an
// hour). It miscounts C arrays. It cannot take bit-fields. And it reports all of this as errors
// inside of PFR. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "multiprocessing/reduction/types/type_name.hpp"

namespace multiprocessing::detail {

/// An aggregate with more fields needs a serialize function.
inline constexpr std::size_t max_fields = 64;

/// Says whether U is a union without a name, as an anonymous member of a struct is. The compiler's
/// name for it tells.
template <class U>
consteval bool is_unnamed_union() {
    if constexpr (!std::is_union_v<U>) {
        return false;
    } else {
        constexpr std::string_view name = type_name<U>();
        return name.find("unnamed") != std::string_view::npos ||
               name.find("anonymous") != std::string_view::npos;
    }
}

/// Stands for "a value of whatever type that field has". Its conversions are never called. They
/// have bodies because of Clang: it takes a use in a constructor that could be a constant
/// expression (std::optional's) for one that needs the bodies, and refuses it when U is of an
/// unnamed namespace. There is no conversion to an unnamed union. The initialiser then goes to its
/// first member, as if braces were left out.
struct AnyLvalue {
    template <class U>
        requires(!is_unnamed_union<U>())
    operator U&() const& noexcept {
        __builtin_unreachable();
    }
    template <class U>
        requires(!is_unnamed_union<U>())
    operator U&() const&& noexcept {
        __builtin_unreachable();
    }
};
struct AnyRvalue {  // for aggregates with a field that cannot be copied
    template <class U>
        requires(!is_unnamed_union<U>())
    operator U() const&& noexcept {
        __builtin_unreachable();
    }
};
template <class T>
using AnyValue = std::conditional_t<std::is_copy_constructible_v<T>, AnyLvalue, AnyRvalue>;

#if defined(__clang__)
/// Stands for a value of an unnamed union, and of nothing else.
struct AnyUnnamedUnion {
    template <class U>
        requires(is_unnamed_union<U>())
    operator U&() const noexcept;
};
#else
/// Stands for a value of any type, but must not be one of an unnamed union. Clang would then take
/// the union's first member in its place. GCC does not let any conversion to the union be used.
template <class T>
struct AnyButUnnamedUnion {
    template <class U>
        requires(!is_unnamed_union<U>() && std::is_copy_constructible_v<T>)
    operator U&() const noexcept;
    template <class U>
        requires(!is_unnamed_union<U>() && !std::is_copy_constructible_v<T>)
    operator U() const noexcept;
    template <class U>
        requires(is_unnamed_union<U>())
    operator U&() const noexcept = delete;
};
#endif

/// Stands for a base class of T.
template <class T>
struct AnyBase {
    template <class U>
        requires(std::is_base_of_v<U, T> && !std::is_same_v<U, T>)
    operator U() const noexcept;
};
template <class T>
struct AnyEmptyBase {
    template <class U>
        requires(std::is_base_of_v<U, T> && !std::is_same_v<U, T> && std::is_empty_v<U>)
    operator U() const noexcept;
};

/// Stands, in braces, for a value of a scalar field or of the first element of an array.
struct AnyScalar {
    template <class U>
        requires std::is_scalar_v<U>  // a class would make vector{any} ask for an initializer_list
    operator U() const noexcept {
        __builtin_unreachable();  // as in AnyLvalue: std::optional of an enum
    }
};

/// T is one of the types above. A class that can be made of anything must not be made of these, or
/// structs that have such a field cannot be taken apart.
template <class T>
inline constexpr bool stands_for_any = false;
template <>
inline constexpr bool stands_for_any<AnyLvalue> = true;
template <>
inline constexpr bool stands_for_any<AnyRvalue> = true;
template <>
inline constexpr bool stands_for_any<AnyScalar> = true;
template <class T>
inline constexpr bool stands_for_any<AnyBase<T>> = true;
template <class T>
inline constexpr bool stands_for_any<AnyEmptyBase<T>> = true;
#if defined(__clang__)
template <>
inline constexpr bool stands_for_any<AnyUnnamedUnion> = true;
#else
template <class T>
inline constexpr bool stands_for_any<AnyButUnnamedUnion<T>> = true;
#endif

template <class Any, std::size_t>
using Repeat = Any;

/// T{{any}..., any...}. An initialiser in braces is for one field, even when that is an array.
template <class T, class Braced, class Bare>
inline constexpr bool takes_initialisers = false;
template <class T, std::size_t... Braced, std::size_t... Bare>
inline constexpr bool
    takes_initialisers<T, std::index_sequence<Braced...>, std::index_sequence<Bare...>> = requires {
        T{{Repeat<AnyScalar, Braced>{}}..., Repeat<AnyValue<T>, Bare>{}...};
    };

/// T{any..., {}, any...}
template <class T, class Before, class After>
inline constexpr bool takes_empty_braces = false;
template <class T, std::size_t... Before, std::size_t... After>
inline constexpr bool
    takes_empty_braces<T, std::index_sequence<Before...>, std::index_sequence<After...>> =
        requires {
            T{Repeat<AnyValue<T>, Before>{}..., {}, Repeat<AnyValue<T>, After>{}...};
        };

template <class T, std::size_t Braced, std::size_t Bare>
inline constexpr bool takes =
    takes_initialisers<T, std::make_index_sequence<Braced>, std::make_index_sequence<Bare>>;

/// Returns how many initialisers in braces T takes, up to max_fields + 1.
template <class T, std::size_t N = 0>
consteval std::size_t count_braced() {
    if constexpr (N <= max_fields && takes<T, N + 1, 0>) {
        return count_braced<T, N + 1>();
    } else {
        return N;
    }
}

/// Returns how many bare initialisers T takes at most, up to max_fields + 1.
template <class T, std::size_t N = 0>
consteval std::size_t count_bare() {
    if constexpr (!takes<T, 0, 0>) {
        // A field has no default constructor. T{a} may be ill-formed where T{a, b} is not: try all
        // numbers.
        return []<std::size_t... M>(std::index_sequence<M...>) {
            std::size_t most = 0;
            ((most = takes<T, 0, M + 1> ? M + 1 : most), ...);
            return most;
        }(std::make_index_sequence<max_fields + 1>{});
    } else if constexpr (N <= max_fields && takes<T, 0, N + 1>) {
        return count_bare<T, N + 1>();
    } else {
        return N;
    }
}

/// Returns how many of T's `Bare` initialisers the field that begins at `At` takes. It is more than
/// one when the field is an array. `{}` in its place initialises all of it, so that fewer may
/// follow.
template <class T, std::size_t Bare, std::size_t At, std::size_t Width = 1>
consteval std::size_t width_of_field() {
    if constexpr (At + Width > Bare) {
        return 1;  // a class without a default constructor
    } else if constexpr (takes_empty_braces<T, std::make_index_sequence<At>,
                                            std::make_index_sequence<Bare - At - Width>>) {
        return Width;
    } else {
        return width_of_field<T, Bare, At, Width + 1>();
    }
}

template <class T, std::size_t Bare, std::size_t At = 0>
consteval std::size_t count_wide_fields() {
    if constexpr (At >= Bare) {
        return 0;
    } else {
        return 1 + count_wide_fields<T, Bare, At + width_of_field<T, Bare, At>()>();
    }
}

/// Returns the number of T's direct bases and fields, or more than max_fields.
template <class T>
consteval std::size_t count_elements() {
    constexpr std::size_t braced = count_braced<T>();
    if constexpr (takes<T, 0, 0> && !takes<T, braced, 1>) {
        return braced;  // only scalars, and arrays of them of whatever length
    } else if constexpr (constexpr std::size_t bare = count_bare<T>(); bare <= max_fields) {
        return count_wide_fields<T, bare>();
    } else {
        return bare;
    }
}

#if defined(__clang__)
/// Says whether one of T's initialisers is for an unnamed union. There are as many initialisers as
/// indices.
template <class T, std::size_t... I>
consteval bool takes_unnamed_union(std::index_sequence<I...>) {
    constexpr auto takes_it_after = []<std::size_t... Before>(std::index_sequence<Before...>) {
        return requires { T{Repeat<AnyValue<T>, Before>{}..., AnyUnnamedUnion{}}; };
    };
    return (takes_it_after(std::make_index_sequence<I>()) || ...);
}
#else
template <class T, std::size_t... I>
consteval bool takes_unnamed_union(std::index_sequence<I...>) {
    return requires { T{Repeat<AnyValue<T>, I>{}...}; } &&
           !requires { T{Repeat<AnyButUnnamedUnion<T>, I>{}...}; };
}
#endif

/// Says whether a field of T is an anonymous union, whose members nothing tells apart. Such a T
/// cannot be taken apart, and compilers offer no way to ask whether a type can be.
template <class T, std::size_t Elements>
consteval bool has_anonymous_union() {
    // An array takes as many bare initialisers as it has elements.
    constexpr std::size_t bare =
        Elements < max_fields && takes<T, 0, Elements + 1> ? count_bare<T>() : Elements;
    return takes_unnamed_union<T>(std::make_index_sequence<(bare > max_fields ? 0 : bare)>());
}

template <class T, class Base, std::size_t N, std::size_t All>
consteval std::size_t count_bases() {
    constexpr bool more = []<std::size_t... B, std::size_t... F>(std::index_sequence<B...>,
                                                                 std::index_sequence<F...>) {
        return requires { T{Repeat<Base, B>{}..., Repeat<AnyValue<T>, F>{}...}; };
    }(std::make_index_sequence<N + 1>{}, std::make_index_sequence<(All > N ? All - N - 1 : 0)>{});
    if constexpr (N < All && more) {
        return count_bases<T, Base, N + 1, All>();
    } else {
        return N;
    }
}

// A structured binding has no pack before C++26, so there is one case for each number of fields.
// The visitor gets the fields, and also their declared types, because only these tell a reference
// from an object.
#define MULTIPROCESSING_PARENTHESES ()
#define MULTIPROCESSING_RESCAN(...) \
    MULTIPROCESSING_RESCAN3(        \
        MULTIPROCESSING_RESCAN3(MULTIPROCESSING_RESCAN3(MULTIPROCESSING_RESCAN3(__VA_ARGS__))))
#define MULTIPROCESSING_RESCAN3(...) \
    MULTIPROCESSING_RESCAN2(         \
        MULTIPROCESSING_RESCAN2(MULTIPROCESSING_RESCAN2(MULTIPROCESSING_RESCAN2(__VA_ARGS__))))
#define MULTIPROCESSING_RESCAN2(...) \
    MULTIPROCESSING_RESCAN1(         \
        MULTIPROCESSING_RESCAN1(MULTIPROCESSING_RESCAN1(MULTIPROCESSING_RESCAN1(__VA_ARGS__))))
#define MULTIPROCESSING_RESCAN1(...) __VA_ARGS__
#define MULTIPROCESSING_TYPES(field, ...) \
    decltype(field) __VA_OPT__(           \
        , MULTIPROCESSING_MORE_TYPES MULTIPROCESSING_PARENTHESES(__VA_ARGS__))
#define MULTIPROCESSING_MORE_TYPES() MULTIPROCESSING_TYPES
#define MULTIPROCESSING_BINDS(field, ...) \
    requires {                            \
        bind_reference(field);            \
    } __VA_OPT__(&&MULTIPROCESSING_MORE_BINDS MULTIPROCESSING_PARENTHESES(__VA_ARGS__))
#define MULTIPROCESSING_MORE_BINDS() MULTIPROCESSING_BINDS
#define MULTIPROCESSING_CASE(count, ...)                                                         \
    else if constexpr (Count == count) {                                                         \
        auto& [__VA_ARGS__] = object;                                                            \
        if constexpr (std::is_same_v<Visitor, AskForReferences>) {                               \
            return std::bool_constant<MULTIPROCESSING_RESCAN(                                    \
                MULTIPROCESSING_BINDS(__VA_ARGS__))>();                                          \
        } else {                                                                                 \
            return visitor.template                                                              \
            operator()<MULTIPROCESSING_RESCAN(MULTIPROCESSING_TYPES(__VA_ARGS__))>(__VA_ARGS__); \
        }                                                                                        \
    }
#define MULTIPROCESSING_F8 f1, f2, f3, f4, f5, f6, f7, f8
#define MULTIPROCESSING_F16 MULTIPROCESSING_F8, f9, f10, f11, f12, f13, f14, f15, f16
#define MULTIPROCESSING_F24 MULTIPROCESSING_F16, f17, f18, f19, f20, f21, f22, f23, f24
#define MULTIPROCESSING_F32 MULTIPROCESSING_F24, f25, f26, f27, f28, f29, f30, f31, f32
#define MULTIPROCESSING_F40 MULTIPROCESSING_F32, f33, f34, f35, f36, f37, f38, f39, f40
#define MULTIPROCESSING_F48 MULTIPROCESSING_F40, f41, f42, f43, f44, f45, f46, f47, f48
#define MULTIPROCESSING_F56 MULTIPROCESSING_F48, f49, f50, f51, f52, f53, f54, f55, f56

template <class T>
void bind_reference(T&);
/// Takes the place of a visitor to ask whether all fields can be bound to references. A bit-field
/// cannot.
struct AskForReferences {
    constexpr std::true_type operator()() const { return {}; }
};

template <std::size_t Count, class T, class Visitor>
constexpr decltype(auto) take_apart(T& object, Visitor visitor) {
    if constexpr (Count == 0) {
        return visitor();
    }
    MULTIPROCESSING_CASE(1, f1)
    MULTIPROCESSING_CASE(2, f1, f2)
    MULTIPROCESSING_CASE(3, f1, f2, f3)
    MULTIPROCESSING_CASE(4, f1, f2, f3, f4)
    MULTIPROCESSING_CASE(5, f1, f2, f3, f4, f5)
    MULTIPROCESSING_CASE(6, f1, f2, f3, f4, f5, f6)
    MULTIPROCESSING_CASE(7, f1, f2, f3, f4, f5, f6, f7)
    MULTIPROCESSING_CASE(8, f1, f2, f3, f4, f5, f6, f7, f8)
    MULTIPROCESSING_CASE(9, MULTIPROCESSING_F8, f9)
    MULTIPROCESSING_CASE(10, MULTIPROCESSING_F8, f9, f10)
    MULTIPROCESSING_CASE(11, MULTIPROCESSING_F8, f9, f10, f11)
    MULTIPROCESSING_CASE(12, MULTIPROCESSING_F8, f9, f10, f11, f12)
    MULTIPROCESSING_CASE(13, MULTIPROCESSING_F8, f9, f10, f11, f12, f13)
    MULTIPROCESSING_CASE(14, MULTIPROCESSING_F8, f9, f10, f11, f12, f13, f14)
    MULTIPROCESSING_CASE(15, MULTIPROCESSING_F8, f9, f10, f11, f12, f13, f14, f15)
    MULTIPROCESSING_CASE(16, MULTIPROCESSING_F8, f9, f10, f11, f12, f13, f14, f15, f16)
    MULTIPROCESSING_CASE(17, MULTIPROCESSING_F16, f17)
    MULTIPROCESSING_CASE(18, MULTIPROCESSING_F16, f17, f18)
    MULTIPROCESSING_CASE(19, MULTIPROCESSING_F16, f17, f18, f19)
    MULTIPROCESSING_CASE(20, MULTIPROCESSING_F16, f17, f18, f19, f20)
    MULTIPROCESSING_CASE(21, MULTIPROCESSING_F16, f17, f18, f19, f20, f21)
    MULTIPROCESSING_CASE(22, MULTIPROCESSING_F16, f17, f18, f19, f20, f21, f22)
    MULTIPROCESSING_CASE(23, MULTIPROCESSING_F16, f17, f18, f19, f20, f21, f22, f23)
    MULTIPROCESSING_CASE(24, MULTIPROCESSING_F16, f17, f18, f19, f20, f21, f22, f23, f24)
    MULTIPROCESSING_CASE(25, MULTIPROCESSING_F24, f25)
    MULTIPROCESSING_CASE(26, MULTIPROCESSING_F24, f25, f26)
    MULTIPROCESSING_CASE(27, MULTIPROCESSING_F24, f25, f26, f27)
    MULTIPROCESSING_CASE(28, MULTIPROCESSING_F24, f25, f26, f27, f28)
    MULTIPROCESSING_CASE(29, MULTIPROCESSING_F24, f25, f26, f27, f28, f29)
    MULTIPROCESSING_CASE(30, MULTIPROCESSING_F24, f25, f26, f27, f28, f29, f30)
    MULTIPROCESSING_CASE(31, MULTIPROCESSING_F24, f25, f26, f27, f28, f29, f30, f31)
    MULTIPROCESSING_CASE(32, MULTIPROCESSING_F24, f25, f26, f27, f28, f29, f30, f31, f32)
    MULTIPROCESSING_CASE(33, MULTIPROCESSING_F32, f33)
    MULTIPROCESSING_CASE(34, MULTIPROCESSING_F32, f33, f34)
    MULTIPROCESSING_CASE(35, MULTIPROCESSING_F32, f33, f34, f35)
    MULTIPROCESSING_CASE(36, MULTIPROCESSING_F32, f33, f34, f35, f36)
    MULTIPROCESSING_CASE(37, MULTIPROCESSING_F32, f33, f34, f35, f36, f37)
    MULTIPROCESSING_CASE(38, MULTIPROCESSING_F32, f33, f34, f35, f36, f37, f38)
    MULTIPROCESSING_CASE(39, MULTIPROCESSING_F32, f33, f34, f35, f36, f37, f38, f39)
    MULTIPROCESSING_CASE(40, MULTIPROCESSING_F32, f33, f34, f35, f36, f37, f38, f39, f40)
    MULTIPROCESSING_CASE(41, MULTIPROCESSING_F40, f41)
    MULTIPROCESSING_CASE(42, MULTIPROCESSING_F40, f41, f42)
    MULTIPROCESSING_CASE(43, MULTIPROCESSING_F40, f41, f42, f43)
    MULTIPROCESSING_CASE(44, MULTIPROCESSING_F40, f41, f42, f43, f44)
    MULTIPROCESSING_CASE(45, MULTIPROCESSING_F40, f41, f42, f43, f44, f45)
    MULTIPROCESSING_CASE(46, MULTIPROCESSING_F40, f41, f42, f43, f44, f45, f46)
    MULTIPROCESSING_CASE(47, MULTIPROCESSING_F40, f41, f42, f43, f44, f45, f46, f47)
    MULTIPROCESSING_CASE(48, MULTIPROCESSING_F40, f41, f42, f43, f44, f45, f46, f47, f48)
    MULTIPROCESSING_CASE(49, MULTIPROCESSING_F48, f49)
    MULTIPROCESSING_CASE(50, MULTIPROCESSING_F48, f49, f50)
    MULTIPROCESSING_CASE(51, MULTIPROCESSING_F48, f49, f50, f51)
    MULTIPROCESSING_CASE(52, MULTIPROCESSING_F48, f49, f50, f51, f52)
    MULTIPROCESSING_CASE(53, MULTIPROCESSING_F48, f49, f50, f51, f52, f53)
    MULTIPROCESSING_CASE(54, MULTIPROCESSING_F48, f49, f50, f51, f52, f53, f54)
    MULTIPROCESSING_CASE(55, MULTIPROCESSING_F48, f49, f50, f51, f52, f53, f54, f55)
    MULTIPROCESSING_CASE(56, MULTIPROCESSING_F48, f49, f50, f51, f52, f53, f54, f55, f56)
    MULTIPROCESSING_CASE(57, MULTIPROCESSING_F56, f57)
    MULTIPROCESSING_CASE(58, MULTIPROCESSING_F56, f57, f58)
    MULTIPROCESSING_CASE(59, MULTIPROCESSING_F56, f57, f58, f59)
    MULTIPROCESSING_CASE(60, MULTIPROCESSING_F56, f57, f58, f59, f60)
    MULTIPROCESSING_CASE(61, MULTIPROCESSING_F56, f57, f58, f59, f60, f61)
    MULTIPROCESSING_CASE(62, MULTIPROCESSING_F56, f57, f58, f59, f60, f61, f62)
    MULTIPROCESSING_CASE(63, MULTIPROCESSING_F56, f57, f58, f59, f60, f61, f62, f63)
    MULTIPROCESSING_CASE(64, MULTIPROCESSING_F56, f57, f58, f59, f60, f61, f62, f63, f64)
}

#undef MULTIPROCESSING_F8
#undef MULTIPROCESSING_F16
#undef MULTIPROCESSING_F24
#undef MULTIPROCESSING_F32
#undef MULTIPROCESSING_F40
#undef MULTIPROCESSING_F48
#undef MULTIPROCESSING_F56
#undef MULTIPROCESSING_CASE
#undef MULTIPROCESSING_MORE_BINDS
#undef MULTIPROCESSING_BINDS
#undef MULTIPROCESSING_MORE_TYPES
#undef MULTIPROCESSING_TYPES
#undef MULTIPROCESSING_RESCAN1
#undef MULTIPROCESSING_RESCAN2
#undef MULTIPROCESSING_RESCAN3
#undef MULTIPROCESSING_RESCAN
#undef MULTIPROCESSING_PARENTHESES

/// Why an aggregate cannot be taken apart.
enum class FieldsProblem { none, not_an_aggregate, too_many, has_base, anonymous_union };

/// What is known about the fields of T.
template <class T, bool = std::is_class_v<T>&& std::is_aggregate_v<T>>
struct Fields {
    static constexpr FieldsProblem problem = FieldsProblem::not_an_aggregate;
};

template <class T>
struct Fields<T, true> {
    static constexpr std::size_t elements = count_elements<T>();
    static constexpr std::size_t bases = elements > max_fields
                                             ? 0
                                             : count_bases<T, AnyBase<T>, 0, elements>();
    static constexpr FieldsProblem problem = []() consteval {
        if constexpr (elements > max_fields) {
            return FieldsProblem::too_many;
        } else if constexpr (bases != count_bases<T, AnyEmptyBase<T>, 0, bases>()) {
            return FieldsProblem::has_base;  // its fields would not be seen
        } else if constexpr (has_anonymous_union<T, elements>()) {
            return FieldsProblem::anonymous_union;
        } else {
            return FieldsProblem::none;
        }
    }();
    static constexpr std::size_t count = elements - bases;
};

/// T can be taken apart into its fields.
template <class T>
concept reflectable = Fields<T>::problem == FieldsProblem::none;

/// Calls `visitor(fields...)` with a reference to each field, in the order of declaration.
template <class T, class Visitor>
constexpr decltype(auto) visit_fields(T& object, Visitor&& visitor) {
    return take_apart<Fields<std::remove_cv_t<T>>::count>(
        object,
        [&visitor]<class...>(auto&... fields) -> decltype(auto) { return visitor(fields...); });
}

struct ToTypes {
    // const&: it also takes a bit-field.
    template <class... Declared>
    constexpr TypeList<Declared...> operator()(const Declared&...) const {
        return {};
    }
    constexpr TypeList<> operator()() const { return {}; }
};

/// Says whether T has bit-fields. An archive can write them, but cannot read into them.
template <reflectable T>
inline constexpr bool has_bit_fields =
    !decltype(take_apart<Fields<T>::count>(std::declval<T&>(), AskForReferences{}))::value;

/// The declared types of T's fields.
template <reflectable T>
using FieldTypes = decltype(take_apart<Fields<T>::count>(std::declval<T&>(), ToTypes{}));

}  // namespace multiprocessing::detail
