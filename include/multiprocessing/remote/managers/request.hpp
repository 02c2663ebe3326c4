// multiprocessing/remote/managers/request.hpp
//
// The messages between a manager's server and its clients: pickled tuples. Mirrors dispatch and
// Server.serve_client of CPython Lib/multiprocessing/managers.py. Floor 9.
//
//     request   (ident or None, method, args, kwds)
//     reply     ('#RETURN', value)           ('#ERROR', exception)     ('#PROXY', (exposed, Token))
//               ('#TRACEBACK', text)         ('#UNSERIALIZABLE', text)
// SPDX-License-Identifier: MIT
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/remote/managers/errors.hpp"
#include "multiprocessing/remote/managers/servant.hpp"
#include "multiprocessing/remote/managers/values.hpp"

namespace multiprocessing::detail {

/// What a client asks for.
struct Request {
    std::optional<std::string> ident;  // none: the server itself is asked
    std::string method;
    CallArguments arguments;
};

/// Reads a request. @throws TypeError, ValueError when it is none
inline Request read_request(const std::string& message) {
    using Values = std::vector<pickle::object>;
    using Named = std::vector<std::pair<std::string, pickle::object>>;
    const auto whole = pickle::loads<pickle::object>(message);
    Values parts = items_of(whole);
    if (parts.size() != 4) {
        throw ValueError("a request is a tuple of 4 items: id, method, args, kwds; this one has " +
                         std::to_string(parts.size()));
    }
    Request request;
    request.ident = from_object<std::optional<std::string>>(parts[0]);
    request.method = from_object<std::string>(parts[1]);
    request.arguments.values = items_of(parts[2]);
    Named named;
    for (auto& [name, value] : pairs_of(parts[3])) {
        named.emplace_back(from_object<std::string>(name), std::move(value));
    }
    request.arguments.named = std::move(named);
    return request;
}

/// Writes a reply.
template <class Value>
std::string reply_of(std::string_view kind, const Value& value) {
    return pickle::dumps(std::pair<std::string, Value>(kind, value));
}

/// Writes the reply for an error of the server itself, or in a request.
inline std::string traceback_reply(const std::exception_ptr& error) {
    return reply_of("#TRACEBACK", traceback_text(error));
}

}  // namespace multiprocessing::detail
