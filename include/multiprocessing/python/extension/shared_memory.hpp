// multiprocessing/python/extension/shared_memory.hpp
//
// Values and arrays of the module multiprocessing_cpp: memory, and where it lies. What is in it is
// ctypes' business. Floor 10. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "multiprocessing/python/extension/binding.hpp"
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
inline bool array_frozen(RawArrayState& state) { return state.frozen.load() != 0; }

}  // namespace multiprocessing::detail::pythons::extension
