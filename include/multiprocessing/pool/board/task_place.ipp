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

/// Returns whether a view and its characters lie in one loaded image: a mark outlives a dlclose.
[[gnu::cold]] MULTIPROCESSING_INLINE bool is_loaded(const std::string_view* name) noexcept {
    Dl_info view{};
    Dl_info characters{};
    return ::dladdr(name, &view) != 0 && ::dladdr(name->data(), &characters) != 0 &&
           view.dli_fbase == characters.dli_fbase;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE std::string name_of_function(std::uint64_t mark) {
    if (mark == 0) return {};
    if ((mark & 1) == 0) {
        const auto* const name = reinterpret_cast<const std::string_view*>(mark);
        return is_loaded(name) ? std::string(*name) : std::string();
    }
    const auto* const address = reinterpret_cast<const void*>(mark >> 1);
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
    if (const std::string name = name_of_function(batch.function); !name.empty())
        text += ", " + name;
    if (attempts > 1) text += ", attempt " + std::to_string(attempts);
    return text;
}

}  // namespace multiprocessing::detail
