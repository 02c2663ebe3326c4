// multiprocessing/remote/managers/values.hpp
//
// Values of Python's types, as servers and proxies of managers make them and take them apart.
// Floor 9. SPDX-License-Identifier: MIT
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/remote/pickle/pickle.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

using Objects = std::vector<pickle::object>;
using ObjectPairs = std::vector<std::pair<pickle::object, pickle::object>>;

/// T has a form in Python.
template <class T>
concept travels_to_python = pickles::travels<std::remove_cvref_t<T>>;

/// Makes a Python value of a C++ value.
template <class T>
pickle::object to_object(const T& value) {
    return pickle::object(value);
}

/// Makes a C++ value of a Python value. @throws TypeError, ValueError
template <class T>
T from_object(const pickle::object& value) {
    if constexpr (std::same_as<T, Timeout>) {
        return Timeout(value.get<std::optional<double>>());
    } else if constexpr (std::same_as<T, std::optional<pickle::object>>) {
        return value;  // None is a value, too
    } else {
        return value.get<T>();
    }
}

/// Writes a reply: `('#RETURN', value)`, and others of request.hpp.
template <class Value>
std::string reply_of(std::string_view kind, const Value& value) {
    using Written = std::decay_t<const Value&>;
    pickles::require_travels<Written>();
    pickles::Writer writer;
    writer.begin(pickles::ValueKind::tuple, 2);
    writer.write_text(kind);
    pickles::write_value<Written>(writer, value);
    writer.end(pickles::ValueKind::tuple, 2);
    return std::move(writer).finish();
}

/// Returns Python's repr of a value.
inline std::string repr_of(const pickle::object& value) { return text_of(value); }

/// Returns the items of a tuple, list or set, or the keys of a dict. @throws TypeError
inline Objects items_of(const pickle::object& value) { return value.items(); }

/// Returns the pairs of a dict, or of a list of pairs, as Python's dict.update takes them.
/// @throws TypeError
ObjectPairs pairs_of(const pickle::object& value);

/// Returns a dict of pairs of keys and values.
template <class K, class V>
pickle::object dict_object(const std::vector<std::pair<K, V>>& entries) {
    ObjectPairs pairs;
    for (const auto& [key, value] : entries) pairs.emplace_back(to_object(key), to_object(value));
    return pickle::object::dict(pairs);
}

/// @{
/// Return the tuple of names, and the names in one. @throws TypeError
pickle::object names_object(const std::vector<std::string>& names);
std::vector<std::string> names_in(const pickle::object& value);
/// @}

/// Says whether Python's `==` holds.
inline bool are_equal(const pickle::object& a, const pickle::object& b) { return a == b; }
/// Says whether Python's `<` holds. @throws TypeError when the two have no order there
bool is_less(const pickle::object& a, const pickle::object& b);
/// @throws TypeError for a list, dict or set, which is no key in Python
void check_hashable(const pickle::object& key);

/// The items that a slice of a sequence takes.
struct SliceRange {
    std::ptrdiff_t start = 0;
    std::ptrdiff_t step = 1;
    std::size_t count = 0;

    [[nodiscard]] std::size_t at(std::size_t i) const noexcept {
        return static_cast<std::size_t>(start + static_cast<std::ptrdiff_t>(i) * step);
    }
};

/// Says whether a value is a slice.
bool is_slice(const pickle::object& value);
/// Returns what a slice takes of so many items. @throws ValueError for a step of 0, TypeError
/// @par Source CPython Objects/sliceobject.c, PySlice_AdjustIndices
SliceRange range_of_slice(const pickle::object& slice, std::size_t size);

/// Returns the items that a slice takes.
template <class T>
std::vector<T> items_of_slice(const std::vector<T>& items, const pickle::object& slice) {
    const SliceRange range = range_of_slice(slice, items.size());
    std::vector<T> taken;
    for (std::size_t i = 0; i < range.count; ++i) taken.push_back(items[range.at(i)]);
    return taken;
}

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/managers/values.ipp"
