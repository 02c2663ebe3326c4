// multiprocessing/remote/connection/address.ipp
//
// What addresses there are, and how they are printed: see address.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/connection/address.hpp"

#include <string>
#include <utility>

#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::connection {

inline Address::Address(std::string host, int port) : host_(std::move(host)), port_(port) {
    if (port < 0 || port > 65535) throw ValueError("a port is a number from 0 to 65535");
}

inline Address::Address(std::string path) : path_(std::move(path)) {
    if (path_.starts_with("\\\\")) {
        throw ValueError("Family AF_PIPE is not recognized: " + path_ + " is a pipe of Windows");
    }
}

inline std::string text_of(const Address& address) {
    if (!address.is_tcp()) return detail::quoted(address.path());
    return "(" + detail::quoted(address.host()) + ", " + std::to_string(address.port()) + ")";
}

}  // namespace multiprocessing::connection
