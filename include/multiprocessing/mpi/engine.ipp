// multiprocessing/mpi/engine.ipp
//
// The name of this machine: see engine.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/mpi/engine.hpp"

#include <unistd.h>

#include <string>

namespace multiprocessing::detail {

inline std::string own_host_name() {
    char name[256] = {};
    if (::gethostname(name, sizeof name - 1) != 0) return "?";
    return name;
}

}  // namespace multiprocessing::detail
