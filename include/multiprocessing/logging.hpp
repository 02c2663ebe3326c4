// multiprocessing/logging.hpp
//
// A log for many processes. Each line arrives whole and says which process wrote it. Children log
// as their parent does. Mirrors the logger of CPython Lib/multiprocessing/util.py. Floor 2.
//
// Read in this order: logging/event.hpp (levels), logging/outlets.hpp (where lines go),
// logging/file.hpp, logging/emit.hpp (how), logging/logger.hpp (what a program calls).
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/logging/event.hpp"
#include "multiprocessing/logging/fields.hpp"
#include "multiprocessing/logging/logger.hpp"

// This comes last. With it, the library's own objects can be logged.
#include "multiprocessing/detail/format.hpp"
