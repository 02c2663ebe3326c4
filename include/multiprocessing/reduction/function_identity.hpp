// multiprocessing/reduction/function_identity.hpp
//
// How a function reaches another process: as which image it is in (the program, or a library by its
// path) and how far from that image's beginning, which address space randomisation does not change.
// Floor 2. Start at identify and resolve.
//
// Two lambdas may have the same mangled name, and most functions of a program have no dynamic
// symbol, so names would not do.
// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/reduction/archive.hpp"
#include "multiprocessing/reduction/containers.hpp"
#include "multiprocessing/reduction/images.hpp"
#include "multiprocessing/reduction/kind.hpp"
#include "multiprocessing/reduction/pickler.hpp"

namespace multiprocessing::detail {

/// What a function is, wherever it lies.
struct FunctionIdentity {
    std::string image;       // empty: the program; else the library's path
    std::uint64_t build_id;  // of the image, hashed: another build has other offsets
    std::uint64_t offset;    // from the image's base

    friend bool operator==(const FunctionIdentity&, const FunctionIdentity&) = default;
};

/// Returns the identity of the function at `address`.
/// @throws RuntimeError when no image has it
inline FunctionIdentity identify(const void* address) {
    const auto place = reinterpret_cast<std::uintptr_t>(address);
    const Image& image = image_of(place);
    return {image.path, image.build_id, place - image.base};
}
template <class R, class... Args>
FunctionIdentity identify(R (*function)(Args...)) {
    return identify(reinterpret_cast<const void*>(function));
}

/// Returns the address that `identity` has in this process, loading its library if need be.
/// @throws RuntimeError when the image is not the one that the function was identified in
inline void* resolve(const FunctionIdentity& identity) {
    const Image& image = image_at(identity.image);
    const std::uintptr_t address = image.base + identity.offset;
    if (image.build_id != identity.build_id || !image.contains(address)) {
        throw RuntimeError((identity.image.empty() ? "the program" : identity.image) +
                           " is not the same file in the two processes (its build id differs): it "
                           "was replaced while the program ran. Start the program again");
    }
    return reinterpret_cast<void*>(address);
}
template <class Function>
Function* resolve_as(const FunctionIdentity& identity) {
    return reinterpret_cast<Function*>(resolve(identity));
}

/// How a message tells a function: nothing, an offset in the program (which the start method
/// compared before any message came), or a whole identity.
enum class FunctionForm : std::uint64_t { null, in_program, elsewhere };

/// Returns the one word that tells a function of the program itself, or 0.
inline std::uint64_t word_for(const void* address) {
    const auto place = reinterpret_cast<std::uintptr_t>(address);
    const Image& program = main_image();
    if (!program.contains(place)) return 0;
    return (place - program.base) << 2 | static_cast<std::uint64_t>(FunctionForm::in_program);
}

inline void save_function(OutputArchive& archive, const void* address) {
    const std::uint64_t word = word_for(address);
    if (word != 0 || address == nullptr) return archive.write_size(word);
    const FunctionIdentity identity = identify(address);
    archive.write_size(static_cast<std::uint64_t>(FunctionForm::elsewhere));
    archive(identity.image, identity.build_id, identity.offset);
}

template <class R, class... Args>
void save_function(OutputArchive& archive, R (*function)(Args...)) {
    save_function(archive, reinterpret_cast<const void*>(function));
}

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
        case FunctionForm::elsewhere: {
            FunctionIdentity identity{};
            archive(identity.image, identity.build_id, identity.offset);
            return resolve(identity);
        }
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

/// A pointer to a member function, as the Itanium C++ ABI (2.3) has it: an address and an
/// adjustment of `this`; for a virtual function a place in the vtable, marked in the lowest bit of
/// one of the two.
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
