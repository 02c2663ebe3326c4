// multiprocessing/connection/format.hpp
//
// fmt prints a connection as <Connection fd=5>. connection.hpp includes this file when fmt was
// included before, see synchronize/format.hpp. Floor 4. SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <string>

#include "multiprocessing/connection/connection.hpp"

namespace multiprocessing::detail {

inline std::string text_of(const Connection& connection) {
    if (connection.closed()) return "<Connection closed>";
    const char* const mode = !connection.writable()   ? " read-only"
                             : !connection.readable() ? " write-only"
                                                      : "";
    return "<Connection fd=" + std::to_string(connection.fileno()) + mode + ">";
}

}  // namespace multiprocessing::detail

template <>
struct fmt::formatter<multiprocessing::Connection> : fmt::formatter<std::string> {
    template <class FormatContext>
    auto format(const multiprocessing::Connection& connection, FormatContext& context) const {
        return fmt::formatter<std::string>::format(multiprocessing::detail::text_of(connection),
                                                   context);
    }
};
