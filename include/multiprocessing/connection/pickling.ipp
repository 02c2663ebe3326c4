// multiprocessing/connection/pickling.ipp
//
// What a program is told that cannot pickle: see pickling.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/connection/pickling.hpp"

#include <string>
#include <string_view>

#include "multiprocessing/connection/type_registry.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void throw_not_pickled(std::string_view type, const char* done,
                                              bool remote_is_included) {
    const std::string name = readable_name(type);
    if (remote_is_included) {
        throw TypeError(name + " cannot be " + done +
                        " here: no pickle that Python reads can hold one. Use a number, a string, "
                        "a standard container of these or a struct of them");
    }
    throw RuntimeError(name + " cannot be " + done +
                       " here: the connection is of a Listener or a Client, where objects are "
                       "pickles. Include <multiprocessing/remote.hpp> in this file, or use "
                       "send_bytes and recv_bytes");
}

}  // namespace multiprocessing::detail
