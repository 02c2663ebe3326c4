// multiprocessing/remote/pickle/calls.ipp
//
// The results of calls, see calls.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/pickle/calls.hpp"

#include <cstdint>
#include <string>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail::pickles {

inline void Calls::push_global(std::string_view module, std::string_view name) {
    Node node = node_of(ValueKind::global);
    node.global = find_global(module, name);
    values_.push(node);
}

inline void Calls::push_global_of_stack() {
    const Node name = tree().at(values_.pop());
    const Node module = tree().at(values_.pop());
    if (name.kind != ValueKind::text || module.kind != ValueKind::text) {
        source_.fail("it names a class by what is not a text");
    }
    push_global(tree().bytes_of(module), tree().bytes_of(name));
}

inline void Calls::refuse_call(const Global& callee) {
    throw TypeError("a pickle makes a " + std::string(callee.module) + "." +
                    std::string(callee.name) + " in a way that is not known here");
}

/// list(items), set(items) and their like.
inline void Calls::make_sequence(const Global& callee, ValueKind kind, const Node& arguments) {
    if (arguments.children.count == 0) return values_.push_container(kind, {});
    const Node items = tree().child(arguments, 0);
    if (arguments.children.count != 1 || !has_children(items.kind) ||
        items.kind == ValueKind::reduced || items.kind == ValueKind::dict) {
        refuse_call(callee);
    }
    values_.push_copy(kind, items);
}

/// bytes(), bytearray(bytes), bytearray(text, 'latin-1') and codecs.encode(text, 'latin1').
inline void Calls::make_bytes(const Global& callee, ValueKind kind, const Node& arguments) {
    const std::uint32_t count = arguments.children.count;
    const bool is_codec = callee.role == Role::codec_encode;
    if (count == 0 && !is_codec) return values_.push_own(kind, {});
    if (count == 0 || count > 2) refuse_call(callee);
    Node source = tree().child(arguments, 0);
    if (count == 1 && !is_codec &&
        (source.kind == ValueKind::bytes || source.kind == ValueKind::bytearray)) {
        source.kind = kind;
        return values_.push(source);
    }
    const Node encoding = tree().child(arguments, count - 1);
    if (count != 2 || source.kind != ValueKind::text || encoding.kind != ValueKind::text ||
        (tree().bytes_of(encoding) != "latin1" && tree().bytes_of(encoding) != "latin-1")) {
        refuse_call(callee);
    }
    values_.push_own(kind, tree().bytes_of(source));
}

inline void Calls::make_complex(const Global& callee, const Node& arguments) {
    if (arguments.children.count != 2) refuse_call(callee);
    const Node real = tree().child(arguments, 0);
    const Node imaginary = tree().child(arguments, 1);
    if (real.kind != ValueKind::real || imaginary.kind != ValueKind::real) refuse_call(callee);
    Node node = node_of(ValueKind::complex);
    node.complex = {real.real, imaginary.real};
    values_.push(node);
}

inline void Calls::call_with(NodeNumber callee, NodeNumber arguments) {
    const Global& global = global_at(tree().at(callee).global);
    const Node node = tree().at(arguments);
    switch (global.role) {
        case Role::list:
            return make_sequence(global, ValueKind::list, node);
        case Role::tuple:
            return make_sequence(global, ValueKind::tuple, node);
        case Role::set:
            return make_sequence(global, ValueKind::set, node);
        case Role::frozenset:
            return make_sequence(global, ValueKind::frozenset, node);
        case Role::bytes:
            return make_bytes(global, ValueKind::bytes, node);
        case Role::codec_encode:
            return make_bytes(global, ValueKind::bytes, node);
        case Role::bytearray:
            return make_bytes(global, ValueKind::bytearray, node);
        case Role::complex:
            return make_complex(global, node);
        case Role::reduced:
        case Role::exception:
            break;
    }
    values_.push_reduced(callee, arguments, false);
}

inline void Calls::call() {
    const NodeNumber arguments = values_.pop();
    const NodeNumber callee = values_.pop();
    if (tree().at(callee).kind != ValueKind::global) source_.fail("it calls what is not a class");
    if (tree().at(arguments).kind != ValueKind::tuple)
        source_.fail("it calls a class without a tuple");
    call_with(callee, arguments);
}

inline void Calls::make_new() {
    const NodeNumber arguments = values_.pop();
    const NodeNumber callee = values_.pop();
    if (tree().at(callee).kind != ValueKind::global)
        source_.fail("it makes an object of what is no class");
    if (tree().at(arguments).kind != ValueKind::tuple)
        source_.fail("it makes an object without a tuple");
    const Global& global = global_at(tree().at(callee).global);
    if (global.role != Role::reduced && global.role != Role::exception) refuse_call(global);
    values_.push_reduced(callee, arguments, true);
}

}  // namespace multiprocessing::detail::pickles
