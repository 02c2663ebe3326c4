// multiprocessing/context.ipp
//
// The names of contexts and start methods: see context.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/context.hpp"

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE std::string context_name(std::string_view method) {
    if (method == start_method::forkserver::name) return "ForkServerContext";
    std::string name = std::string(method) + "Context";
    name[0] = static_cast<char>(name[0] - 'a' + 'A');
    return name;
}

MULTIPROCESSING_INLINE std::vector<std::string_view> start_methods_from(std::string_view first) {
    std::vector<std::string_view> names{start_method::fork::name, start_method::spawn::name,
                                        start_method::forkserver::name};
    std::stable_partition(names.begin(), names.end(),
                          [first](std::string_view name) { return name == first; });
    return names;
}

}  // namespace multiprocessing::detail
