// multiprocessing/logging/outlets.ipp
//
// Changing the level: see outlets.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/logging/outlets.hpp"

#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/logging/event.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void set_process_fields(
    std::vector<std::pair<std::string, std::string>> fields) {
    change_outlets([&](LogOutlets& outlets) { outlets.process_fields = fields; });
}

MULTIPROCESSING_INLINE void set_log_level(int level) noexcept {
    log_threshold.store(level == log_level::nothing ? level - 1 : level);
}

MULTIPROCESSING_INLINE void set_up_logging() noexcept {
    int nothing = log_level::nothing;
    if (!logging_is_set_up()) log_threshold.compare_exchange_strong(nothing, log_level::warning);
}

}  // namespace multiprocessing::detail
