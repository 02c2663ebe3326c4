// The check that nothing is left in /dev/shm.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <set>
#include <string>

#include "tests/support.hpp"

namespace support {

/// Returns whether /dev/shm soon has no name that was not there `before`. Other tests make names
/// too, for a short time.
inline bool no_name_stays(const std::set<std::string>& before) {
    return eventually([&] {
        const auto names = names_in("/dev/shm");
        return std::includes(before.begin(), before.end(), names.begin(), names.end());
    });
}

}  // namespace support
