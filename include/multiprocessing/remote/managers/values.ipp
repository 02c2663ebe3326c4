// multiprocessing/remote/managers/values.ipp
//
// What Python does with values: see values.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/managers/values.hpp"

#include <algorithm>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

inline ObjectPairs pairs_of(const pickle::object& value) {
    if (value.type_name() == "dict") return value.dict_items();
    ObjectPairs pairs;
    for (const pickle::object& item : items_of(value)) {
        pairs.push_back(item.get<std::pair<pickle::object, pickle::object>>());
    }
    return pairs;
}

inline pickle::object names_object(const std::vector<std::string>& names) {
    return pickle::object::tuple(Objects(names.begin(), names.end()));
}

inline std::vector<std::string> names_in(const pickle::object& value) {
    return value.get<std::vector<std::string>>();
}

/// A kind of values that have an order among themselves.
inline std::string_view order_kind(const pickle::object& value) {
    using enum pickles::ValueKind;
    switch (value.node().kind) {
        case boolean:
        case integer:
        case real:
            return "a number";
        case text:
            return "a str";
        case bytes:
        case bytearray:
            return "a bytes";
        case tuple:
            return "a tuple";
        case list:
            return "a list";
        default:
            return {};
    }
}

inline bool is_less(const pickle::object& a, const pickle::object& b) {
    const std::string_view kind = order_kind(a);
    if (kind.empty() || kind != order_kind(b)) {
        throw TypeError("'<' not supported between instances of '" + a.type_name() + "' and '" +
                        b.type_name() + "'");
    }
    if (kind != "a tuple" && kind != "a list") return a < b;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        const pickle::object x = a[static_cast<std::int64_t>(i)];
        const pickle::object y = b[static_cast<std::int64_t>(i)];
        if (x != y) return is_less(x, y);
    }
    return a.size() < b.size();
}

inline void check_hashable(const pickle::object& key) {
    using enum pickles::ValueKind;
    const auto kind = key.node().kind;
    if (kind == list || kind == dict || kind == set || kind == bytearray) {
        throw TypeError("unhashable type: '" + key.type_name() + "'");
    }
    if (kind == tuple) {
        for (const pickle::object& item : items_of(key)) check_hashable(item);
    }
}

inline bool is_slice(const pickle::object& value) {
    return value.tree().is_made_by(value.node(), "builtins", "slice");
}

inline SliceRange range_of_slice(const pickle::object& slice, std::size_t size) {
    using Index = std::optional<std::int64_t>;
    const auto [start, stop, given] = slice.arguments().get<std::tuple<Index, Index, Index>>();
    const std::int64_t step = given.value_or(1);
    if (step == 0) throw ValueError("slice step cannot be zero");
    if (step < -INT64_MAX) throw ValueError("the slice step is too large");
    const auto length = static_cast<std::int64_t>(size);
    const std::int64_t lowest = step < 0 ? -1 : 0;
    const std::int64_t highest = step < 0 ? length - 1 : length;
    const auto adjust = [&](const Index& index, std::int64_t otherwise) {
        if (!index) return otherwise;
        return std::clamp(*index < 0 ? *index + length : *index, lowest, highest);
    };
    const std::int64_t first = adjust(start, step < 0 ? highest : lowest);
    const std::int64_t last = adjust(stop, step < 0 ? lowest : highest);
    SliceRange range;
    range.start = first;
    range.step = step;
    if (step > 0 && first < last) {
        range.count = static_cast<std::size_t>((last - first - 1) / step + 1);
    } else if (step < 0 && last < first) {
        range.count = static_cast<std::size_t>((first - last - 1) / -step + 1);
    }
    return range;
}

}  // namespace multiprocessing::detail
