// multiprocessing/remote/pickle/codec.hpp
//
// Which C++ types travel as pickles, and as what of Python's. How each is written and read is in
// scalars.hpp, containers.hpp, products.hpp, exceptions.hpp and object.hpp. Floor 9. Start at Way.
// SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "multiprocessing/reduction/types/fields.hpp"
#include "multiprocessing/reduction/types/kind.hpp"
#include "multiprocessing/reduction/types/type_name.hpp"
#include "multiprocessing/remote/pickle/reader.hpp"
#include "multiprocessing/remote/pickle/writer.hpp"

namespace multiprocessing::pickle {
class object;
}

namespace multiprocessing::detail::pickles {

using ::multiprocessing::pickle::object;

/// How a type travels. The comments say what it is in Python.
enum class Way {
    unsupported,
    object,     // whatever the pickle::object holds
    own,        // what the class's own to_pickle() gives
    none,       // None: nullopt, nullptr, monostate
    boolean,    // bool
    integer,    // int; enums too
    real,       // float
    complex,    // complex
    text,       // str
    bytes,      // bytes
    sequence,   // list
    set,        // set
    map,        // dict
    tuple,      // tuple: pair, tuple
    array,      // tuple: std::array and C arrays
    optional,   // None, or the value
    variant,    // the alternative that it holds
    exception,  // an exception of Python
    aggregate   // tuple of the fields
};

/// T makes itself an object, and itself of one.
template <class T>
concept own_pickler = requires(const T& value, const object& made) {
    { value.to_pickle() } -> std::same_as<object>;
    { T::from_pickle(made) } -> std::same_as<T>;
};

/// The ways of containers of the standard library and of Boost.
template <class T>
consteval Way way_of_container() {
    if constexpr (!requires(T& c) {
                      typename T::value_type;
                      c.clear();
                      c.size();
                      c.begin();
                  }) {
        return Way::unsupported;
    } else if constexpr (requires { typename T::mapped_type; }) {
        // Only a map whose keys are single has insert_or_assign.
        return requires(T& c, typename T::key_type k, typename T::mapped_type v) {
            c.insert_or_assign(std::move(k), std::move(v));
        } ? Way::map : Way::unsupported;
    } else if constexpr (requires { typename T::key_type; }) {
        return requires(T& c, typename T::value_type v) {
            c.insert(std::move(v)).second;
        } ? Way::set : Way::unsupported;
    } else if constexpr (std::is_same_v<typename T::value_type, std::byte>) {
        return requires(T& c) { c.data(); } ? Way::bytes : Way::unsupported;
    } else {
        return requires(T& c, typename T::value_type v) {
            c.push_back(std::move(v));
        } ? Way::sequence : Way::unsupported;
    }
}

template <class T>
consteval Way way_of_class() {
    if constexpr (std::is_same_v<T, object>) {
        return Way::object;
    } else if constexpr (stands_for_any<T>) {
        return Way::unsupported;
    } else if constexpr (own_pickler<T>) {
        return Way::own;
    } else if constexpr (std::is_same_v<T, std::nullopt_t> || std::is_same_v<T, std::monostate>) {
        return Way::none;
    } else if constexpr (std::is_same_v<T, std::exception_ptr> ||
                         std::derived_from<T, std::exception>) {
        return Way::exception;
    } else if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, std::string_view>) {
        return Way::text;
    } else if constexpr (is_standard<T>("complex<")) {
        return Way::complex;
    } else if constexpr (is_standard<T>("span<")) {
        return std::is_same_v<typename T::value_type, std::byte> ? Way::bytes : Way::unsupported;
    } else if constexpr (is_standard<T>("pair<") || is_standard<T>("tuple<")) {
        return Way::tuple;
    } else if constexpr (is_standard<T>("array<")) {
        return Way::array;
    } else if constexpr (is_standard<T>("optional<")) {
        return Way::optional;
    } else if constexpr (is_standard<T>("variant<")) {
        return Way::variant;
    } else if constexpr (is_library_type<T>()) {
        return way_of_container<T>();
    } else if constexpr (reflectable<T>) {
        return has_bit_fields<T> ? Way::unsupported : Way::aggregate;
    } else {
        return Way::unsupported;
    }
}

/// How a T travels.
template <class T>
consteval Way way_of() {
    if constexpr (std::is_same_v<T, bool>) {
        return Way::boolean;
    } else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
        return Way::integer;
    } else if constexpr (std::is_floating_point_v<T>) {
        return Way::real;
    } else if constexpr (std::is_null_pointer_v<T>) {
        return Way::none;
    } else if constexpr (std::is_same_v<T, const char*> || std::is_same_v<T, char*>) {
        return Way::text;
    } else if constexpr (std::is_bounded_array_v<T>) {
        return Way::array;
    } else if constexpr (std::is_class_v<T>) {
        return way_of_class<T>();
    } else {
        return Way::unsupported;
    }
}

/// How values of type T are written and read. Each specialisation has
///   - `Elements`: the types on which T depends, which must travel too;
///   - `write(writer, value)`, and `read(reader, node)` or, for C arrays, `load`.
template <class T, Way = way_of<T>()>
struct Codec;

/// Says whether a T may take a value of the kind. A variant asks before it tries, because a failed
/// try costs an exception.
template <class T>
constexpr bool may_take(ValueKind kind) noexcept {
    const bool is_integer = kind >= ValueKind::boolean && kind <= ValueKind::big_integer;
    const bool is_items = kind == ValueKind::tuple || kind == ValueKind::list;
    const bool is_reduced = kind == ValueKind::reduced;  // an array, or a number of numpy
    switch (way_of<T>()) {
        case Way::none:
            return kind == ValueKind::none;
        case Way::boolean:
            return kind == ValueKind::boolean || is_reduced;
        case Way::integer:
            return is_integer || is_reduced;
        case Way::real:
            return is_integer || is_reduced || kind == ValueKind::real;
        case Way::text:
            return kind == ValueKind::text;
        case Way::bytes:
            return kind == ValueKind::bytes || kind == ValueKind::bytearray;
        case Way::sequence:
        case Way::set:
            return is_items || is_reduced || kind == ValueKind::set || kind == ValueKind::frozenset;
        case Way::map:
            return kind == ValueKind::dict;
        case Way::tuple:
        case Way::array:
        case Way::aggregate:
            return is_items;
        case Way::exception:
            return is_reduced;
        default:
            return true;
    }
}

/// The type to blame when T does not travel, or void. `Visiting` are the types that are being
/// looked at already (a Tree, for the vector<Tree> in it).
template <class T, class... Visiting>
consteval auto blamed_of();

template <class... Visiting>
consteval std::type_identity<void> first_blamed(TypeList<>) {
    return {};
}
template <class... Visiting, class First, class... Rest>
consteval auto first_blamed(TypeList<First, Rest...>) {
    using Culprit = decltype(blamed_of<std::remove_cv_t<First>, Visiting...>());
    if constexpr (std::is_same_v<Culprit, std::type_identity<void>>) {
        return first_blamed<Visiting...>(TypeList<Rest...>{});
    } else {
        return Culprit{};
    }
}

template <class T, class... Visiting>
consteval auto blamed_of() {
    if constexpr ((std::is_same_v<T, Visiting> || ...)) {
        return std::type_identity<void>{};
    } else if constexpr (way_of<T>() == Way::unsupported) {
        return std::type_identity<T>{};
    } else {
        return first_blamed<Visiting..., T>(typename Codec<T>::Elements{});
    }
}

/// T's values can be written to a pickle.
template <class T>
concept travels = std::is_void_v<typename decltype(blamed_of<std::remove_cv_t<T>>())::type>;

/// The compile error. Compilers show its arguments: the type that should travel, and the type
/// inside of it that cannot.
template <class Type, class Because>
struct CannotTravelAsPickle {
    static_assert(
        !std::is_same_v<Type, Type>,
        "multiprocessing: this type is none of Python's: numbers, std::string, "
        "std::vector<std::byte>, the standard containers, pair, tuple, optional, variant, "
        "exceptions, pickle::object and aggregates of these travel; give a class of yours "
        "`pickle::object to_pickle() const` and `static T from_pickle(const "
        "pickle::object&)`. The two types are the arguments of CannotTravelAsPickle");
};

/// Ends the compilation when T cannot travel as a pickle, and tells the reason.
template <class T>
constexpr void require_travels() {
    if constexpr (!travels<T>) {
        using Because = typename decltype(blamed_of<std::remove_cv_t<T>>())::type;
        static_cast<void>(sizeof(CannotTravelAsPickle<T, Because>));
    }
}

/// Writes a value.
template <class T>
void write_value(Writer& writer, const T& value) {
    Codec<std::remove_cv_t<T>>::write(writer, value);
}

template <class T>
T Reader::read(const Node& node) {
    count(1);
    return Codec<T>::read(*this, node);
}

}  // namespace multiprocessing::detail::pickles
