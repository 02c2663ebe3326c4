// multiprocessing/reduction/types/type_name.hpp
//
// The name of a type at compile time. A fingerprint is made of it, by which a receiver knows that a
// message holds what the receiver asks for. Floor 2. Start at type_fingerprint.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

template <class... Ts>
struct TypeList {};

// It returns `auto` because GCC appends "; std::string_view = ..." to the name of a function that
// mentions an alias.
template <class T>
consteval auto pretty_function() {
    return __PRETTY_FUNCTION__;
}

/// Returns T's name as the compiler writes it: "int", "std::vector<int>", "app::Job".
template <class T>
consteval std::string_view type_name() {
    // A type whose name is known tells how much text stands before and after the type.
    constexpr std::string_view sample = pretty_function<double>();
    constexpr std::size_t before = sample.find("double");
    constexpr std::size_t after = sample.size() - before - std::string_view("double").size();
    constexpr std::string_view name = pretty_function<T>();
    return name.substr(before, name.size() - before - after);
}

/// Says whether `name` begins with "std::" and `unqualified`. There may be an inline namespace
/// between the two.
consteval bool is_standard_name(std::string_view name, std::string_view unqualified) {
    if (!name.starts_with("std::")) return false;
    name.remove_prefix(5);
    // libstdc++'s ABI and debug mode, libc++.
    for (const std::string_view inlined : {"__cxx11::", "__debug::", "__1::", "_V2::"}) {
        if (name.starts_with(inlined)) name.remove_prefix(inlined.size());
    }
    return name.starts_with(unqualified);
}

/// Says whether T is `std::unqualified...`. With it the library does not need the headers of types
/// that a program may never use: <filesystem> and <chrono> alone would cost each user half a
/// second.
template <class T>
consteval bool is_standard(std::string_view unqualified) {
    return is_standard_name(type_name<T>(), unqualified);
}

/// Says whether T is a container of the standard library or of Boost.Container. Their shape
/// (value_type, size, emplace) tells how to take them apart. Another class of that shape may hold
/// more than its elements.
template <class T>
consteval bool is_library_type() {
    constexpr std::string_view name = type_name<T>();
    return name.starts_with("std::") || name.starts_with("boost::container::") ||
           name.starts_with("boost::unordered");
}

/// Returns a hash of T's name and size, equal in every process that runs the same program.
template <class T>
consteval std::uint64_t type_fingerprint() {
    std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, 64 bits
    for (const char c : type_name<T>()) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
    if constexpr (requires { sizeof(T); }) hash = (hash ^ sizeof(T)) * 0x100000001b3;
    return hash;
}

}  // namespace multiprocessing::detail
