// multiprocessing/remote/pickle/tree.ipp
//
// The names of values' types, see tree.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/pickle/tree.hpp"

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail::pickles {

inline SharedPart shared_part_of(const Tree& tree, const Node& node) {
    const Node& arguments = tree.child(node, 1);
    const auto is_of = [&](std::size_t index, ValueKind kind) {
        return arguments.children.count == 3 && tree.child(arguments, index).kind == kind;
    };
    if (is_of(0, ValueKind::text) && is_of(1, ValueKind::text) && is_of(2, ValueKind::integer)) {
        const auto number = static_cast<std::uint64_t>(tree.child(arguments, 2).integer);
        if (number < tree.attached.objects.size()) {
            return {tree.bytes_of(tree.child(arguments, 0)),
                    tree.bytes_of(tree.child(arguments, 1)),
                    tree.attached.objects[static_cast<std::size_t>(number)]};
        }
    }
    throw ValueError("a pickle refers to an object of the library that did not come with it");
}

/// The name of what the library's own module makes: "multiprocessing_cpp.Lock".
inline std::string family_type_name(const Tree& tree, const Node& node) {
    if (tree.callee_of(node).name == view_maker) return "memoryview";
    const Node& arguments = tree.child(node, 1);
    const bool has_kind =
        arguments.children.count != 0 && tree.child(arguments, 0).kind == ValueKind::text;
    return std::string(family_module) + "." +
           (has_kind ? std::string(tree.bytes_of(tree.child(arguments, 0))) : "object");
}

inline std::string type_name_of(const Tree& tree, const Node& node) {
    static constexpr std::string_view names[] = {"NoneType", "bool", "int",   "int",       "float",
                                                 "complex",  "str",  "bytes", "bytearray", "tuple",
                                                 "list",     "dict", "set",   "frozenset", "type"};
    if (node.kind != ValueKind::reduced) {
        return std::string(names[static_cast<std::size_t>(node.kind)]);
    }
    const Global& callee = tree.callee_of(node);
    if (callee.name == "_array_reconstructor") return "array.array";
    if (callee.module == family_module) return family_type_name(tree, node);
    if (callee.name == "_reconstruct" || callee.name == "_frombuffer") return "numpy.ndarray";
    if (callee.module == "builtins") return std::string(callee.name);
    return std::string(callee.module) + "." + std::string(callee.name);
}

}  // namespace multiprocessing::detail::pickles
