// multiprocessing/python/extension/shared_memory.hpp
//
// Values, arrays and vectors of the module multiprocessing_cpp: memory, and where it lies. What is
// in it is ctypes' business. Floor 10. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

#include "multiprocessing/python/extension/binding.hpp"
#include "multiprocessing/shared_objects.hpp"
#include "multiprocessing/sharedctypes.hpp"

namespace multiprocessing::detail::pythons::extension {

/// @returns the number of bytes or elements @throws ValueError when it is negative
inline std::size_t checked_count(std::int64_t count) {
    if (count < 0) throw ValueError("the size of an array cannot be negative");
    return static_cast<std::size_t>(count);
}

/// Makes a Value or an Array. All letters' types have the alignment of the head at most, so the
/// elements lie right behind it. @param lock what guards it, or none
inline Handle<GuardedState> guarded_new(std::int64_t count, std::int64_t item, AnyHandle lock) {
    return GuardedState::make(checked_count(count), checked_count(item), sizeof(GuardedState), lock,
                              {});
}
inline std::uint64_t guarded_address(GuardedState& state) {
    return reinterpret_cast<std::uintptr_t>(&state + 1);
}
inline std::uint64_t guarded_size(GuardedState& state) { return state.size; }
/// Returns the lock that guards it, or nothing: then it is a lock itself.
inline std::optional<AnyHandle> guarded_lock(GuardedState& state) {
    if (state.other_lock == 0) return std::nullopt;
    return AnyHandle::from_offset(state.other_lock);
}

inline Handle<RawArrayState> array_new(std::int64_t count, std::int64_t item) {
    const std::size_t size = checked_count(item);
    return RawArrayState::make(checked_count(count), size, size, {});
}
inline std::uint64_t array_address(RawArrayState& state) {
    return reinterpret_cast<std::uintptr_t>(state.elements());
}
inline std::uint64_t array_size(RawArrayState& state) { return state.size; }
/// Calls `body` with the vector of numbers of a letter that is in a shared object.
template <class Body>
auto with_vector(ObjectState& state, const std::string& letter, Body body) {
    const auto call = [&]<class T>(std::type_identity<T>) {
        return body(*static_cast<shared::vector<T>*>(state.content()));
    };
    switch (letter.empty() ? '\0' : letter[0]) {
        case 'c':
            return call(std::type_identity<char>());
        case 'u':
            return call(std::type_identity<wchar_t>());
        case '?':
            return call(std::type_identity<bool>());
        case 'b':
            return call(std::type_identity<std::int8_t>());
        case 'B':
            return call(std::type_identity<std::uint8_t>());
        case 'h':
            return call(std::type_identity<std::int16_t>());
        case 'H':
            return call(std::type_identity<std::uint16_t>());
        case 'i':
            return call(std::type_identity<std::int32_t>());
        case 'I':
            return call(std::type_identity<std::uint32_t>());
        case 'q':
            return call(std::type_identity<std::int64_t>());
        case 'Q':
            return call(std::type_identity<std::uint64_t>());
        case 'f':
            return call(std::type_identity<float>());
        case 'd':
            return call(std::type_identity<double>());
        default:
            throw TypeError("a shared vector of '" + letter + "' is none that Python knows");
    }
}
/// @pre the object's lock, or it is frozen; so for the next one
inline std::uint64_t vector_address(ObjectState& state, std::string letter) {
    return with_vector(state, letter, [](auto& vector) {
        return std::uint64_t{reinterpret_cast<std::uintptr_t>(vector.data())};
    });
}
inline std::uint64_t vector_size(ObjectState& state, std::string letter) {
    return with_vector(state, letter, [](auto& vector) { return std::uint64_t{vector.size()}; });
}
inline bool vector_frozen(ObjectState& state) { return state.is_frozen(); }

inline bool array_frozen(RawArrayState& state) { return state.frozen.load() != 0; }

}  // namespace multiprocessing::detail::pythons::extension
