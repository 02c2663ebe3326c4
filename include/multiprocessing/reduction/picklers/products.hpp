// multiprocessing/reduction/picklers/products.hpp
//
// How types that are made of a few others travel: aggregates, pair, tuple, optional, variant,
// expected.
// Floor 2. Start at Pickler<T, Kind::aggregate>.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/reduction/archive/archive.hpp"
#include "multiprocessing/reduction/picklers/pickler.hpp"
#include "multiprocessing/reduction/types/fields.hpp"
#include "multiprocessing/reduction/types/kind.hpp"

namespace multiprocessing::detail {

template <class... Ts>
consteval std::size_t smallest_sum(TypeList<Ts...>) {
    return (std::size_t{0} + ... + Pickler<std::remove_cv_t<Ts>>::smallest);
}

template <class... Ts>
consteval bool has_const(TypeList<Ts...>) {
    return (std::is_const_v<std::remove_all_extents_t<Ts>> || ...);
}
template <class... Ts>
consteval bool has_array(TypeList<Ts...>) {
    return (std::is_array_v<Ts> || ...);
}

/// Says whether there is a type among them whose values cannot be read into, but only made.
template <class... Ts>
consteval bool any_must_be_made(TypeList<Ts...>) {
    return (has_own_read<std::remove_cv_t<Ts>> || ...);
}

/// A struct: its fields, in order.
template <class T>
struct Pickler<T, Kind::aggregate> {
    using Elements = FieldTypes<T>;
    static constexpr std::size_t smallest = smallest_sum(Elements{});
    /// T can be made as T{fields...}, which needs no default constructor.
    static constexpr bool from_fields = Fields<T>::bases == 0 && !has_array(Elements{});
    static constexpr bool must_be_made = has_const(Elements{}) || any_must_be_made(Elements{}) ||
                                         !std::is_default_constructible_v<T>;

    static void save(OutputArchive& archive, const T& value) {
        visit_fields(value, [&archive](const auto&... fields) { archive(fields...); });
    }
    static void load(InputArchive& archive, T& value) {
        if constexpr (!has_const(Elements{})) {
            visit_fields(value, [&archive](auto&... fields) { archive(fields...); });
        } else {
            static_assert(std::is_nothrow_move_constructible_v<T>,
                          "multiprocessing: a struct with const fields cannot be read into, unless "
                          "its move constructor is noexcept: make a new one with read<T>()");
            T made = read(archive);  // a const field cannot be read into, but only made
            std::destroy_at(&value);
            std::construct_at(&value, std::move(made));
        }
    }
    static T read(InputArchive& archive)
        requires must_be_made
    {
        static_assert(from_fields,
                      "multiprocessing: a value of this type cannot be received: a struct with an "
                      "array or a base class needs a default constructor and no const fields. Use "
                      "std::array, or write a cereal serialize() function");
        return make(archive, Elements{});
    }

  private:
    template <class... Ts>
    static T make(InputArchive& archive, TypeList<Ts...>) {
        return T{
            detail::load_value<std::remove_cv_t<Ts>>(archive)...};  // braces: from left to right
    }
};

/// A pair or tuple.
template <class T>
struct Pickler<T, Kind::tuple> {
    using Elements = ArgumentsOf<T>;
    static constexpr std::size_t smallest = smallest_sum(Elements{});

    static void save(OutputArchive& archive, const T& value) {
        visit(value, [&archive](const auto&... elements) { archive(elements...); });
    }
    static void load(InputArchive& archive, T& value) {
        visit(value, [&archive](auto&... elements) { archive(elements...); });
    }
    static T read(InputArchive& archive)
        requires(!std::is_default_constructible_v<T> || has_const(Elements{}) ||
                 any_must_be_made(Elements{}))
    {
        return make(archive, Elements{});
    }

  private:
    template <class Value, class Visitor>
    static void visit(Value& value, Visitor visitor) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            using std::get;
            visitor(get<I>(value)...);
        }(std::make_index_sequence<std::tuple_size_v<T>>{});
    }
    template <class... Ts>
    static T make(InputArchive& archive, TypeList<Ts...>) {
        return T{detail::load_value<std::remove_cv_t<Ts>>(archive)...};
    }
};

template <class T>
struct Pickler<T, Kind::optional> {
    using Element = typename T::value_type;
    using Elements = TypeList<Element>;
    static constexpr std::size_t smallest = 1;

    static void save(OutputArchive& archive, const T& value) {
        archive(value.has_value());
        if (value) archive(*value);
    }
    static void load(InputArchive& archive, T& value) {
        value.reset();
        if (detail::load_value<bool>(archive)) value.emplace(detail::load_value<Element>(archive));
    }
};

template <class T>
struct Pickler<T, Kind::variant> {
    using Elements = ArgumentsOf<T>;
    static constexpr std::size_t smallest = sizeof(std::uint32_t);

    static void save(OutputArchive& archive, const T& value) {
        if (value.valueless_by_exception()) {
            throw ValueError("a variant that is valueless by exception cannot travel");
        }
        archive(static_cast<std::uint32_t>(value.index()));
        save_alternative(archive, value, Elements{});
    }
    static void load(InputArchive& archive, T& value) {
        load_alternative(archive, value, detail::load_value<std::uint32_t>(archive), Elements{});
    }
    static T read(InputArchive& archive)
        requires(!std::is_default_constructible_v<T>)
    {
        return make<0>(archive, detail::load_value<std::uint32_t>(archive), Elements{});
    }

  private:
    template <class... Ts>
    static void save_alternative(OutputArchive& archive, const T& value, TypeList<Ts...>) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            const auto save_this = [&](const auto& alternative) {
                archive(alternative);
                return true;
            };
            // ADL finds get<I>: where there is a variant, <variant> is included.
            static_cast<void>(((value.index() == I && save_this(get<I>(value))) || ...));
        }(std::index_sequence_for<Ts...>{});
    }
    template <class... Ts>
    static void load_alternative(InputArchive& archive, T& value, std::size_t index,
                                 TypeList<Ts...>) {
        [&]<std::size_t... I>(std::index_sequence<I...>) {
            const auto load_this = [&]<std::size_t J, class U>() {
                value.template emplace<J>(detail::load_value<U>(archive));
                return true;
            };
            if (!((index == I && load_this.template operator()<I, Ts>()) || ...)) {
                throw_damaged("it holds an alternative that its variant does not have");
            }
        }(std::index_sequence_for<Ts...>{});
    }
    template <std::size_t I, class First, class... Rest>
    static T make(InputArchive& archive, std::size_t index, TypeList<First, Rest...>) {
        if (index == I) return T(std::in_place_index<I>, detail::load_value<First>(archive));
        if constexpr (sizeof...(Rest) != 0) {
            return make<I + 1>(archive, index, TypeList<Rest...>{});
        } else {
            throw_damaged("it holds an alternative that its variant does not have");
        }
    }
};

/// C++23's expected.
template <class T>
struct Pickler<T, Kind::expected> {
    using Value = typename T::value_type;
    using Error = typename T::error_type;
    using Elements =
        std::conditional_t<std::is_void_v<Value>, TypeList<Error>, TypeList<Value, Error>>;
    static constexpr std::size_t smallest = 1;

    static void save(OutputArchive& archive, const T& value) {
        archive(value.has_value());
        if (!value) {
            archive(value.error());
        } else if constexpr (!std::is_void_v<Value>) {
            archive(*value);
        }
    }
    static void load(InputArchive& archive, T& value) {
        if (!detail::load_value<bool>(archive)) {
            value = typename T::unexpected_type(detail::load_value<Error>(archive));
        } else if constexpr (std::is_void_v<Value>) {
            value.emplace();
        } else {
            value = detail::load_value<Value>(archive);
        }
    }
};

}  // namespace multiprocessing::detail
