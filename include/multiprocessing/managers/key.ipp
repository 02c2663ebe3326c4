// multiprocessing/managers/key.ipp
//
// The errors for keys that are not there: see key.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/managers/key.hpp"

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE KeyError no_such_number(const std::string& key) {
    return KeyError("no such key: " + key);
}

MULTIPROCESSING_INLINE KeyError no_such_text(std::string_view key) {
    return KeyError("no such key: '" + std::string(key) + "'");
}

MULTIPROCESSING_INLINE KeyError no_such_key_of_type(std::string_view type) {
    return KeyError("no such key of type " + std::string(type));
}

}  // namespace multiprocessing::detail
