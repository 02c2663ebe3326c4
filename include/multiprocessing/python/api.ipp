// multiprocessing/python/api.ipp
//
// How the functions are found, see api.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/python/api.hpp"

#include <dlfcn.h>

#include <string>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail::pythons {

inline Address Api::find_optional(const char* name) const noexcept {
    return {::dlsym(image_, name)};
}

inline Address Api::find(const char* name) const {
    const Address found = find_optional(name);
    if (found.address == nullptr) {
        throw RuntimeError("this libpython has no " + std::string(name) +
                           ": mp::python needs CPython 3.8 or newer. Name another one in "
                           "MULTIPROCESSING_PYTHON");
    }
    return found;
}

}  // namespace multiprocessing::detail::pythons
