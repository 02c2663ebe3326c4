// multiprocessing/pool/board/task_place.ipp
//
// How a task is named: see task_place.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/board/task_place.hpp"

#include <dlfcn.h>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/reduction/exceptions/exceptions.hpp"

namespace multiprocessing::detail {

/// Returns the name of a batch's function where it is known: the name of a class, or of a function
/// that the program exports (-rdynamic). @pre this is the process that made the batch
[[gnu::cold, gnu::noinline]] MULTIPROCESSING_INLINE std::string name_of_function(
    const Batch& batch) {
    if (batch.function == 0) return {};
    if ((batch.function & 1) == 0) {
        return std::string(*reinterpret_cast<const std::string_view*>(batch.function));
    }
    const auto* const address = reinterpret_cast<const void*>(batch.function >> 1);
    Dl_info info{};
    const bool known =
        ::dladdr(address, &info) != 0 && info.dli_sname != nullptr && info.dli_saddr == address;
    return known ? demangle(info.dli_sname) : std::string();
}

[[gnu::noinline]] MULTIPROCESSING_INLINE std::string describe_task(const Batch& batch,
                                                                   std::uint64_t item,
                                                                   std::uint32_t attempts) {
    std::string text = "item " + std::to_string(batch.first_item + item);
    // The user does not know the calls that a stream makes.
    if (batch.keep_errors == 0) text += " of call " + std::to_string(batch.serial);
    if (const std::string name = name_of_function(batch); !name.empty()) text += ", " + name;
    if (attempts > 1) text += ", attempt " + std::to_string(attempts);
    return text;
}

}  // namespace multiprocessing::detail
