// multiprocessing/detail/fmt_core.hpp
//
// The core of fmt: format strings that are checked at compile time. As a header alone, fmt's core
// brings all of fmt, which takes longer to parse than all of this library. Where the library is
// compiled once, the one compiled file has what the core only declares. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/requirements.hpp"

#ifdef MULTIPROCESSING_SEPARATE_COMPILATION
// A program that wants more of fmt includes it, and has it as a header alone.
#pragma push_macro("FMT_HEADER_ONLY")
#undef FMT_HEADER_ONLY
#endif

#if __has_include(<fmt/base.h>)
#include <fmt/base.h>  // since fmt 11
#else
#include <fmt/core.h>
#endif

#ifdef MULTIPROCESSING_SEPARATE_COMPILATION
#pragma pop_macro("FMT_HEADER_ONLY")
#endif
