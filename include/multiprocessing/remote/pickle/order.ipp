// multiprocessing/remote/pickle/order.ipp
//
// The order of values, see order.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/pickle/order.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace multiprocessing::detail::pickles {

/// Returns a number that is the same for types whose values can be equal.
inline int rank_of(ValueKind kind) noexcept {
    switch (kind) {
        case ValueKind::boolean:
        case ValueKind::real:
            return static_cast<int>(ValueKind::integer);
        case ValueKind::bytearray:
            return static_cast<int>(ValueKind::bytes);
        case ValueKind::frozenset:
            return static_cast<int>(ValueKind::set);
        default:
            return static_cast<int>(kind);
    }
}

inline std::strong_ordering compare_reals(double a, double b) noexcept {
    if (a < b) return std::strong_ordering::less;
    if (a > b) return std::strong_ordering::greater;
    return (a != a) <=> (b != b);  // all nans are one, above all numbers
}

/// Compares an int with a float, whatever their sizes.
inline std::strong_ordering compare_mixed(std::int64_t a, double b) noexcept {
    constexpr double limit = 9223372036854775808.0;  // 2^63
    if (b != b || b >= limit) return std::strong_ordering::less;
    if (b < -limit) return std::strong_ordering::greater;
    const auto whole = static_cast<std::int64_t>(b);
    if (a != whole) return a <=> whole;
    return compare_reals(0, b - static_cast<double>(whole));
}

inline std::strong_ordering compare_numbers(const Node& a, const Node& b) noexcept {
    const auto integer = [](const Node& node) {
        return node.kind == ValueKind::boolean ? std::int64_t{node.boolean} : node.integer;
    };
    const bool a_is_real = a.kind == ValueKind::real;
    const bool b_is_real = b.kind == ValueKind::real;
    if (a_is_real && b_is_real) return compare_reals(a.real, b.real);
    if (a_is_real) return 0 <=> compare_mixed(integer(b), a.real);
    if (b_is_real) return compare_mixed(integer(a), b.real);
    return integer(a) <=> integer(b);
}

inline std::strong_ordering compare_in_order(const Place& a, const Place& b) {
    const auto as = a.tree.children_of(a.node);
    const auto bs = b.tree.children_of(b.node);
    for (std::size_t i = 0; i < std::min(as.size(), bs.size()); ++i) {
        const auto order = compare(a.at(as[i]), b.at(bs[i]));
        if (order != 0) return order;
    }
    return as.size() <=> bs.size();
}

/// Returns where the items of a set, or the keys of a dict, are among its children, in order.
inline std::vector<std::size_t> sorted_items(const Place& place, std::size_t step) {
    const auto children = place.tree.children_of(place.node);
    std::vector<std::size_t> sorted;
    for (std::size_t i = 0; i < children.size(); i += step) sorted.push_back(i);
    std::sort(sorted.begin(), sorted.end(), [&](std::size_t i, std::size_t j) {
        return compare(place.at(children[i]), place.at(children[j])) < 0;
    });
    return sorted;
}

/// Compares sets (step 1) or dicts (step 2).
inline std::strong_ordering compare_sorted(const Place& a, const Place& b, std::size_t step) {
    if (a.node.children.count != b.node.children.count) {
        return a.node.children.count <=> b.node.children.count;
    }
    const auto sorted_a = sorted_items(a, step);
    const auto sorted_b = sorted_items(b, step);
    for (std::size_t i = 0; i < sorted_a.size(); ++i) {
        for (std::size_t part = 0; part < step; ++part) {
            const auto order = compare(a.at(a.tree.children_of(a.node)[sorted_a[i] + part]),
                                       b.at(b.tree.children_of(b.node)[sorted_b[i] + part]));
            if (order != 0) return order;
        }
    }
    return std::strong_ordering::equal;
}

/// Objects of the library are equal when they are the same one.
inline std::strong_ordering compare_reduced(const Place& a, const Place& b) {
    const auto is_shared = [](const Place& place) {
        return place.tree.is_made_by(place.node, family_module, object_maker);
    };
    if (!is_shared(a) || !is_shared(b)) return compare_in_order(a, b);
    return shared_part_of(a.tree, a.node).handle.offset() <=>
           shared_part_of(b.tree, b.node).handle.offset();
}

inline std::strong_ordering compare(const Place& a, const Place& b) {
    if (&a.node == &b.node) return std::strong_ordering::equal;
    const auto rank = rank_of(a.node.kind) <=> rank_of(b.node.kind);
    if (rank != 0) return rank;
    switch (a.node.kind) {
        case ValueKind::none:
            return std::strong_ordering::equal;
        case ValueKind::boolean:
        case ValueKind::integer:
        case ValueKind::real:
            return compare_numbers(a.node, b.node);
        case ValueKind::complex: {
            const auto order = compare_reals(a.node.complex.real, b.node.complex.real);
            return order != 0 ? order
                              : compare_reals(a.node.complex.imaginary, b.node.complex.imaginary);
        }
        case ValueKind::big_integer:
        case ValueKind::text:
        case ValueKind::bytes:
        case ValueKind::bytearray:
            return a.tree.bytes_of(a.node) <=> b.tree.bytes_of(b.node);
        case ValueKind::global:
            return a.node.global <=> b.node.global;
        case ValueKind::reduced:
            return compare_reduced(a, b);
        case ValueKind::set:
        case ValueKind::frozenset:
            return compare_sorted(a, b, 1);
        case ValueKind::dict:
            return compare_sorted(a, b, 2);
        default:
            return compare_in_order(a, b);
    }
}

}  // namespace multiprocessing::detail::pickles
