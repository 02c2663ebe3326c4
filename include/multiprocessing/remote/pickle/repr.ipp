// multiprocessing/remote/pickle/repr.ipp
//
// How each value is printed, see repr.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/pickle/repr.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "multiprocessing/detail/repr.hpp"

namespace multiprocessing::detail::pickles {

/// Returns the size of an int beyond 64 bits, without its sign, in digits of 32 bits, the lowest
/// first.
inline std::vector<std::uint32_t> magnitude_of(std::string_view bytes, bool is_negative) {
    std::vector<std::uint32_t> digits((bytes.size() + 3) / 4);
    bool carry = is_negative;  // two's complement: invert, and add 1
    for (std::size_t i = 0; i < digits.size() * 4; ++i) {
        const bool is_there = i < bytes.size();
        unsigned byte = is_there ? static_cast<unsigned char>(bytes[i]) : is_negative ? 0xff : 0;
        if (is_negative) byte = (~byte & 0xff) + (carry ? 1 : 0);
        carry = carry && byte == 0x100;
        digits[i / 4] |= std::uint32_t{byte & 0xff} << (8 * (i % 4));
    }
    return digits;
}

/// Divides a number, and returns the rest.
inline std::uint32_t divide(std::vector<std::uint32_t>& digits, std::uint32_t divisor) {
    std::uint64_t rest = 0;
    for (std::size_t i = digits.size(); i-- > 0;) {
        rest = (rest << 32) | digits[i];
        digits[i] = static_cast<std::uint32_t>(rest / divisor);
        rest %= divisor;
    }
    while (!digits.empty() && digits.back() == 0) digits.pop_back();
    return static_cast<std::uint32_t>(rest);
}

/// Appends an int beyond 64 bits. One of more than 1024 bytes is told by its size: the time that
/// decimal digits take grows with the square of their number, and Python refuses so many, too.
inline void append_big_integer(std::string& text, std::string_view bytes) {
    const bool is_negative = (bytes.back() & 0x80) != 0;
    if (bytes.size() > 1024) {
        text += "<int of " + std::to_string(bytes.size()) + " bytes>";
        return;
    }
    std::vector<std::uint32_t> digits = magnitude_of(bytes, is_negative);
    std::string reversed;
    while (!digits.empty()) {
        std::uint32_t part = divide(digits, 1'000'000'000);
        for (int i = 0; i < 9; ++i, part /= 10) reversed += static_cast<char>('0' + part % 10);
    }
    while (reversed.back() == '0') reversed.pop_back();
    text += is_negative ? "-" : "";
    text.append(reversed.rbegin(), reversed.rend());
}

/// Appends a part of a complex number: as a float, but without ".0".
inline void append_part(std::string& text, double part) {
    std::string number = float_repr(part);
    if (number.ends_with(".0")) number.resize(number.size() - 2);
    text += number;
}

inline void append_complex(std::string& text, double real, double imaginary) {
    if (real == 0 && !std::signbit(real)) {
        append_part(text, imaginary);
        text += 'j';
        return;
    }
    text += '(';
    append_part(text, real);
    if (!std::signbit(imaginary) || imaginary != imaginary) text += '+';
    append_part(text, imaginary);
    text += "j)";
}

/// Appends items between brackets. @param step 2 for the keys and values of a dict
inline void append_children(std::string& text, const Place& place, std::string_view open,
                            std::string_view close, std::size_t step = 1) {
    ItemsText items(text, open);
    const auto children = place.tree.children_of(place.node);
    for (std::size_t i = 0; i < children.size() && items.next(); i += step) {
        append_repr(text, place.at(children[i]));
        if (step == 1) continue;
        text += ": ";
        append_repr(text, place.at(children[i + 1]));
    }
    items.end(close);
}

inline void append_global(std::string& text, const Global& global) {
    if (global.module != "builtins") (text += global.module) += '.';
    text += global.name;
}

/// Appends `Token(typeid='list', address='/tmp/…', id='7f0a')`.
inline void append_token(std::string& text, const Place& place, const Node& state) {
    static constexpr std::string_view names[] = {"Token(typeid=", ", address=", ", id="};
    for (std::size_t i = 0; i < std::size(names); ++i) {
        text += names[i];
        append_repr(text, place.at(place.tree.children_of(state)[i]));
    }
    text += ')';
}

/// Appends `ValueError('x')`, or the name of another class and what its object was made of.
inline void append_reduced(std::string& text, const Place& place) {
    const Global& callee = place.tree.callee_of(place.node);
    const Node& state = place.tree.child(place.node, 2);
    if (callee.name == "Token" && state.kind == ValueKind::tuple && state.children.count == 3) {
        return append_token(text, place, state);
    }
    if (callee.role == Role::exception) {
        text += callee.name;  // Python tells no module here
    } else {
        append_global(text, callee);
    }
    append_children(text, {place.tree, place.tree.child(place.node, 1)}, "(", ")");
    if (state.kind == ValueKind::none || callee.role == Role::exception) return;
    text += " with ";
    append_repr(text, {place.tree, state});
}

inline void append_set(std::string& text, const Place& place) {
    const bool is_frozen = place.node.kind == ValueKind::frozenset;
    if (place.node.children.count == 0) {
        text += is_frozen ? "frozenset()" : "set()";
    } else {
        append_children(text, place, is_frozen ? "frozenset({" : "{", is_frozen ? "})" : "}");
    }
}

inline void append_repr(std::string& text, const Place& place) {
    const Node& node = place.node;
    switch (node.kind) {
        case ValueKind::none:
            text += "None";
            return;
        case ValueKind::boolean:
            text += node.boolean ? "True" : "False";
            return;
        case ValueKind::integer:
            text += std::to_string(node.integer);
            return;
        case ValueKind::big_integer:
            return append_big_integer(text, place.tree.bytes_of(node));
        case ValueKind::real:
            text += float_repr(node.real);
            return;
        case ValueKind::complex:
            return append_complex(text, node.complex.real, node.complex.imaginary);
        case ValueKind::text:
            text += quoted(place.tree.bytes_of(node));
            return;
        case ValueKind::bytes:
            text += 'b' + quoted(place.tree.bytes_of(node), false);
            return;
        case ValueKind::bytearray:
            text += "bytearray(b" + quoted(place.tree.bytes_of(node), false) + ')';
            return;
        case ValueKind::tuple:
            return append_children(text, place, "(", node.children.count == 1 ? ",)" : ")");
        case ValueKind::list:
            return append_children(text, place, "[", "]");
        case ValueKind::dict:
            return append_children(text, place, "{", "}", 2);
        case ValueKind::set:
        case ValueKind::frozenset:
            return append_set(text, place);
        case ValueKind::global:
            text += "<class '";
            append_global(text, global_at(node.global));
            text += "'>";
            return;
        case ValueKind::reduced:
            return append_reduced(text, place);
    }
}

inline std::string exception_text(const Place& place) {
    const Node& arguments = place.tree.child(place.node, 1);
    if (arguments.children.count == 0) return {};
    const Node& first = place.tree.child(arguments, 0);
    const bool is_single = arguments.children.count == 1;
    if (is_single && first.kind == ValueKind::text) return std::string(place.tree.bytes_of(first));
    std::string text;
    append_repr(text, {place.tree, is_single ? first : arguments});
    return text;
}

}  // namespace multiprocessing::detail::pickles
