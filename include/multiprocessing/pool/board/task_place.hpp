// multiprocessing/pool/board/task_place.hpp
//
// Which task an error belongs to, in words. All errors of a pool use this one wording. Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

#include "multiprocessing/reduction/types/type_name.hpp"

namespace multiprocessing::detail {

struct Batch;

template <class F>
inline constexpr std::string_view function_class_name = type_name<F>();

/// Returns what the owner of a batch needs to find the name of its function: the address of the
/// name of its class, or the function's own address, which the lowest bit marks.
template <class F>
std::uint64_t function_mark(const F& f) noexcept {
    if constexpr (std::is_pointer_v<F>) {
        return std::uint64_t{reinterpret_cast<std::uintptr_t>(f)} << 1 | 1;
    } else {
        return reinterpret_cast<std::uintptr_t>(&function_class_name<F>);
    }
}

/// Returns the name of a function where it is known: the name of a class, or of a function that the
/// program exports (-rdynamic). Returns nothing when the library that has it is gone.
/// @param mark see function_mark; 0: no function
/// @pre this is the process that made the mark
[[gnu::cold]] std::string name_of_function(std::uint64_t mark);

/// Returns e.g. "item 13 of call 2, app::Render, attempt 3".
/// @param item     in the batch
/// @param attempts how often it was tried
/// @pre this is the process that made the batch
[[gnu::cold]] std::string describe_task(const Batch& batch, std::uint64_t item,
                                        std::uint32_t attempts);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/board/task_place.ipp"
#endif
