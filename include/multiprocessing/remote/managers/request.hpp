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

#include <cstddef>
#include <exception>
#include <memory>
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
    std::shared_ptr<pickles::OwnedTree> message{};  // of which the arguments are parts
};

/// Reads a request whose parts are of the types that clients of both languages write, and that has
/// no arguments by name. @returns whether it is such a one
inline bool read_plain_request(const std::shared_ptr<const pickles::OwnedTree>& message,
                               Request& request) {
    using enum pickles::ValueKind;
    const pickles::Tree& tree = message->tree();
    if (tree.top().kind != tuple || tree.children_of(tree.top()).size() != 4) return false;
    const auto part = [&](std::size_t i) -> const pickles::Node& {
        return tree.child(tree.top(), i);
    };
    if ((part(0).kind != text && part(0).kind != none) || part(1).kind != text ||
        part(2).kind != tuple || part(3).kind != dict || !tree.children_of(part(3)).empty()) {
        return false;
    }
    if (part(0).kind == text) request.ident.emplace(tree.bytes_of(part(0)));
    request.method = tree.bytes_of(part(1));
    const auto arguments = tree.children_of(part(2));
    request.arguments.values.reserve(arguments.size());
    for (const auto argument : arguments) request.arguments.values.emplace_back(message, argument);
    return true;
}

/// Reads a request. @throws TypeError, ValueError when it is none
inline Request read_request(std::string bytes) {
    Request request;
    request.message = std::make_shared<pickles::OwnedTree>(std::move(bytes));
    if (read_plain_request(request.message, request)) return request;
    const Objects parts = items_of(pickle::object(request.message, request.message->tree().root));
    if (parts.size() != 4) {
        throw ValueError("a request is a tuple of 4 items: id, method, args, kwds; this one has " +
                         std::to_string(parts.size()));
    }
    request.ident = from_object<std::optional<std::string>>(parts[0]);
    request.method = from_object<std::string>(parts[1]);
    request.arguments.values = items_of(parts[2]);
    for (auto& [name, value] : pairs_of(parts[3])) {
        request.arguments.named.emplace_back(from_object<std::string>(name), std::move(value));
    }
    return request;
}

/// Writes the reply for an error of the server itself, or in a request.
inline std::string traceback_reply(const std::exception_ptr& error) {
    return reply_of("#TRACEBACK", traceback_text(error));
}

}  // namespace multiprocessing::detail
