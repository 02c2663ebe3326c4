// multiprocessing/logging/event.ipp
//
// Names of the levels: see event.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/logging/event.hpp"

#include <string>

#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing {

MULTIPROCESSING_INLINE std::string level_name(int level) {
    switch (level) {
        case 5:
            return "SUBDEBUG";
        case 10:
            return "DEBUG";
        case 20:
            return "INFO";
        case 25:
            return "SUBWARNING";
        case 30:
            return "WARNING";
        case 40:
            return "ERROR";
        default:
            return detail::joined({"Level ", level});
    }
}

}  // namespace multiprocessing
