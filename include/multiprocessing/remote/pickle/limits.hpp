// multiprocessing/remote/pickle/limits.hpp
//
// How much a pickle may be: a few bytes can stand for a value that fills all memory (a memo bomb),
// lead back to itself, or be nested until no stack suffices. Floor 9. Start at check_limits.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "multiprocessing/remote/pickle/tree.hpp"

namespace multiprocessing::detail::pickles {

/// How many levels deep a value may be nested. CPython's own pickler gives up at about as many.
inline constexpr std::uint32_t most_levels = 1000;

/// Returns how many values, and how many bytes in texts, a message may unfold to.
constexpr std::uint64_t budget_of(std::size_t message_size) noexcept {
    return 1'000'000 + 16 * static_cast<std::uint64_t>(message_size);
}

/// Throws the ValueError for a message beyond a limit.
[[noreturn]] void throw_too_deep();
[[noreturn]] void throw_too_large(std::size_t message_size);

/// Goes through all that can be reached from the root. It takes time and memory in proportion to
/// the message, whatever the message unfolds to.
/// @throws ValueError when a value contains itself, is nested too deeply, or unfolds to too much
void check_limits(const Tree& tree);

}  // namespace multiprocessing::detail::pickles

#include "multiprocessing/remote/pickle/limits.ipp"
