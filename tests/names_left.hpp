// The check that nothing is left in /dev/shm.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <set>
#include <string>

#include "tests/support.hpp"

namespace support {

/// Returns the names in /dev/shm, but for those of MPI libraries, which stay for as long as a test
/// of ranks runs beside this one.
inline std::set<std::string> names_of_ours() {
    std::set<std::string> names = names_in("/dev/shm");
    std::erase_if(names, [](const std::string& name) {
        return name.starts_with("vader_segment.") || name.starts_with("mpich_");
    });
    return names;
}

/// Returns whether /dev/shm soon has no name that was not there `before`. Other tests make names
/// too, for a short time.
inline bool no_name_stays(const std::set<std::string>& before) {
    return eventually([&] {
        const auto names = names_of_ours();
        return std::includes(before.begin(), before.end(), names.begin(), names.end());
    });
}

}  // namespace support
