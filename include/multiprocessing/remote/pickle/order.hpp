// multiprocessing/remote/pickle/order.hpp
//
// Compares values of pickles, as Python's == does. Floor 9. Start at compare.
// SPDX-License-Identifier: MIT
#pragma once

#include <compare>

#include "multiprocessing/remote/pickle/tree.hpp"

namespace multiprocessing::detail::pickles {

/// A value and the tree that it is in.
struct Place {
    const Tree& tree;
    const Node& node;

    [[nodiscard]] Place at(NodeNumber number) const { return {tree, tree.at(number)}; }
};

/// Compares two values. Equal ones are those that are == in Python: 1 and 1.0 and True, b'x' and
/// bytearray(b'x'), dicts and sets whatever the order of their items. The order of others means
/// nothing, except that it is always the same. Differs: nan equals itself; an int beyond 64 bits
/// equals no float; exceptions and the like are equal when their types and arguments are.
std::strong_ordering compare(const Place& a, const Place& b);

}  // namespace multiprocessing::detail::pickles

#include "multiprocessing/remote/pickle/order.ipp"
