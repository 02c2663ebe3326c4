// multiprocessing/remote/pickle/tree.ipp
//
// The names of values' types, see tree.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/pickle/tree.hpp"

namespace multiprocessing::detail::pickles {

inline std::string type_name_of(const Tree& tree, const Node& node) {
    static constexpr std::string_view names[] = {"NoneType", "bool", "int",   "int",       "float",
                                                 "complex",  "str",  "bytes", "bytearray", "tuple",
                                                 "list",     "dict", "set",   "frozenset", "type"};
    if (node.kind != ValueKind::reduced) {
        return std::string(names[static_cast<std::size_t>(node.kind)]);
    }
    const Global& callee = tree.callee_of(node);
    if (callee.name == "_array_reconstructor") return "array.array";
    if (callee.name == "_reconstruct" || callee.name == "_frombuffer") return "numpy.ndarray";
    if (callee.module == "builtins") return std::string(callee.name);
    return std::string(callee.module) + "." + std::string(callee.name);
}

}  // namespace multiprocessing::detail::pickles
