// multiprocessing/reduction/picklers/plain_variants.hpp
//
// Variants in values that travel as their bytes. A damaged index must be found before anybody
// visits the variant. Floor 2. Start at check_plain_variants. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/reduction/archive/archive.hpp"
#include "multiprocessing/reduction/types/fields.hpp"
#include "multiprocessing/reduction/types/kind.hpp"
#include "multiprocessing/reduction/types/type_name.hpp"

namespace multiprocessing::detail {

template <class T>
consteval bool holds_variant();

template <class... Ts>
consteval bool any_holds_variant(TypeList<Ts...>) {
    return (holds_variant<std::remove_cv_t<Ts>>() || ...);
}

/// Says whether there is a variant in a value of T. @pre T travels as its bytes
template <class T>
consteval bool holds_variant() {
    if constexpr (std::is_array_v<T>) {
        return holds_variant<std::remove_all_extents_t<T>>();
    } else if constexpr (!std::is_class_v<T> || bitwise_picklable<T>) {
        return false;
    } else if constexpr (is_standard<T>("variant<")) {
        return true;
    } else if constexpr (is_standard<T>("array<") || is_standard<T>("optional<")) {
        return holds_variant<std::remove_cv_t<typename T::value_type>>();
    } else if constexpr (is_standard<T>("pair<") || is_standard<T>("tuple<")) {
        return any_holds_variant(ArgumentsOf<T>{});
    } else if constexpr (!is_library_type<T>() && reflectable<T>) {
        return any_holds_variant(FieldTypes<T>{});
    } else {
        return false;
    }
}

/// Checks the variants in a value that has come as its bytes.
/// @throws ProcessError when the index of one is damaged
template <class T>
void check_plain_variants(const T& value) {
    if constexpr (!holds_variant<T>()) {
        return;
    } else if constexpr (std::is_array_v<T> || is_standard<T>("array<")) {
        for (const auto& element : value) check_plain_variants(element);
    } else if constexpr (is_standard<T>("variant<")) {
        const std::size_t index = value.index();
        [&]<class... Ts>(TypeList<Ts...>) {
            if (index >= sizeof...(Ts)) throw_damaged("a variant has no such alternative");
            // ADL finds get_if: where there is a variant, <variant> is included.
            const auto look_at = [](const auto* alternative) {
                if (alternative != nullptr) check_plain_variants(*alternative);
            };
            [&]<std::size_t... I>(std::index_sequence<I...>) {
                (look_at(get_if<I>(&value)), ...);
            }(std::index_sequence_for<Ts...>{});
        }(ArgumentsOf<T>{});
    } else if constexpr (is_standard<T>("optional<")) {
        if (value) check_plain_variants(*value);
    } else if constexpr (is_standard<T>("pair<") || is_standard<T>("tuple<")) {
        std::apply([](const auto&... elements) { (check_plain_variants(elements), ...); }, value);
    } else {
        visit_fields(value, [](const auto&... fields) { (check_plain_variants(fields), ...); });
    }
}

}  // namespace multiprocessing::detail
