// multiprocessing/detail/format.ipp
//
// How texts and numbers are formatted by fmt: see format.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/format.hpp"

#include <fmt/format.h>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

template <class T>
fmt::format_context::iterator format_natively(const fmt::formatter<T>& formatter, const T& value,
                                              fmt::format_context& context) {
    return formatter.format(value, context);
}

#ifdef MULTIPROCESSING_SEPARATE_COMPILATION
#define MULTIPROCESSING_FORMATS(T)                                                             \
    template fmt::format_context::iterator format_natively(const fmt::formatter<T>&, const T&, \
                                                           fmt::format_context&);
MULTIPROCESSING_FORMATS(bool)
MULTIPROCESSING_FORMATS(char)
MULTIPROCESSING_FORMATS(int)
MULTIPROCESSING_FORMATS(unsigned)
MULTIPROCESSING_FORMATS(long long)
MULTIPROCESSING_FORMATS(unsigned long long)
MULTIPROCESSING_FORMATS(float)
MULTIPROCESSING_FORMATS(double)
MULTIPROCESSING_FORMATS(long double)
MULTIPROCESSING_FORMATS(fmt::string_view)
#undef MULTIPROCESSING_FORMATS
#endif

}  // namespace multiprocessing::detail
