// multiprocessing/reduction/functions/function_identity.hpp
//
// How a function reaches another process. The message tells the image that it is in (the program,
// or a library by its path) and its distance from that image's beginning. Address space
// randomisation does not change this distance. Floor 2. Start at identify and resolve.
//
// Names would not do: two lambdas may have the same mangled name, and most functions of a program
// have no dynamic symbol.
// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "multiprocessing/reduction/archive/archive.hpp"
#include "multiprocessing/reduction/functions/images.hpp"
#include "multiprocessing/reduction/picklers/pickler.hpp"
#include "multiprocessing/reduction/types/kind.hpp"

namespace multiprocessing::detail {

/// Which function it is, independent of where a process has it in memory.
struct FunctionIdentity {
    std::string image;       // empty: the program; else the library's path
    std::uint64_t build_id;  // of the image, hashed: another build has other offsets
    std::uint64_t offset;    // from the image's base

    friend bool operator==(const FunctionIdentity&, const FunctionIdentity&) = default;
};

/// Returns the identity of the function at `address`.
/// @throws RuntimeError when no image has it
FunctionIdentity identify(const void* address);
template <class R, class... Args>
FunctionIdentity identify(R (*function)(Args...)) {
    return identify(reinterpret_cast<const void*>(function));
}

/// Returns the address of the function `identity` in this process. Loads its library if need be.
/// @throws RuntimeError when the image is not the one in which the function was identified
void* resolve(const FunctionIdentity& identity);
template <class Function>
Function* resolve_as(const FunctionIdentity& identity) {
    return reinterpret_cast<Function*>(resolve(identity));
}

/// How a message tells a function: null, an offset in the program, or a whole identity. The offset
/// is enough for the program: the start method made sure, before any message came, that both
/// processes run the same one.
enum class FunctionForm : std::uint64_t { null, in_program, elsewhere };

/// Returns the one word that tells a function of the program itself; 0 for any other.
inline std::uint64_t word_for(const void* address) {
    const auto place = reinterpret_cast<std::uintptr_t>(address);
    const Image& program = main_image();
    if (!program.contains(place)) return 0;
    return (place - program.base) << 2 | static_cast<std::uint64_t>(FunctionForm::in_program);
}

/// Writes the whole identity of a function that is not in the program.
void save_identity(OutputArchive& archive, const void* address);
/// Reads what save_identity wrote after the form.
void* load_identity(InputArchive& archive);

/// Writes which function is at `address`.
inline void save_function(OutputArchive& archive, const void* address) {
    const std::uint64_t word = word_for(address);
    if (word != 0 || address == nullptr) return archive.write_size(word);
    save_identity(archive, address);
}
template <class R, class... Args>
void save_function(OutputArchive& archive, R (*function)(Args...)) {
    save_function(archive, reinterpret_cast<const void*>(function));
}

/// Reads a function. @returns its address in this process
inline void* load_function(InputArchive& archive) {
    const auto word = detail::load_value<std::uint64_t>(archive);
    switch (static_cast<FunctionForm>(word & 3)) {
        case FunctionForm::null:
            return nullptr;
        case FunctionForm::in_program: {
            const std::uintptr_t address = main_image().base + (word >> 2);
            if (!main_image().contains(address)) throw_damaged("it refers to no function");
            return reinterpret_cast<void*>(address);
        }
        case FunctionForm::elsewhere:
            return load_identity(archive);
    }
    throw_damaged("it refers to no function");
}

/// Reads a function. @tparam Pointer the pointer type that save_function was given
template <class Pointer>
Pointer load_function(InputArchive& archive) {
    return reinterpret_cast<Pointer>(load_function(archive));
}

template <class T>
struct Pickler<T, Kind::function> {
    using Elements = TypeList<>;
    static constexpr std::size_t smallest = sizeof(std::uint64_t);

    static void save(OutputArchive& archive, const T& value) {
        save_function(archive, reinterpret_cast<const void*>(value));
    }
    static void load(InputArchive& archive, T& value) { value = load_function<T>(archive); }
};

/// A pointer to a member function. In the Itanium C++ ABI (2.3) it is an address and an adjustment
/// of `this`. For a virtual function it has a place in the vtable instead of the address, and the
/// lowest bit of one of the two says so.
template <class T>
struct Pickler<T, Kind::member_function> {
    using Elements = TypeList<>;
    static constexpr std::size_t smallest = 2 * sizeof(std::uint64_t);

    struct Parts {
        std::uintptr_t address;
        std::ptrdiff_t adjustment;
    };
    static_assert(sizeof(T) == sizeof(Parts));

    static bool is_virtual(const Parts& parts) {
#if defined(__aarch64__) || defined(__arm__)
        return (parts.adjustment & 1) != 0;
#else
        return (parts.address & 1) != 0;
#endif
    }
    static void save(OutputArchive& archive, const T& value) {
        const auto parts = std::bit_cast<Parts>(value);
        archive(parts.adjustment, is_virtual(parts));
        if (is_virtual(parts)) {
            archive(parts.address);
        } else {
            save_function(archive, reinterpret_cast<const void*>(parts.address));
        }
    }
    static void load(InputArchive& archive, T& value) {
        Parts parts{};
        parts.adjustment = detail::load_value<std::ptrdiff_t>(archive);
        if (detail::load_value<bool>(archive)) {
            parts.address = detail::load_value<std::uintptr_t>(archive);
        } else {
            parts.address = reinterpret_cast<std::uintptr_t>(load_function(archive));
        }
        value = std::bit_cast<T>(parts);
    }
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/reduction/functions/function_identity.ipp"
#endif
