// multiprocessing/connection/format.hpp
//
// fmt prints a connection as <Connection fd=5>. connection.hpp includes this file when fmt was
// included before, see detail/format.hpp. Floor 4. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/connection/connection.hpp"
#include "multiprocessing/detail/format.hpp"
