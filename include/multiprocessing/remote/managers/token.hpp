// multiprocessing/remote/managers/token.hpp
//
// What names an object of a manager's server: its type's name, the server's address and its id.
// Mirrors Token and RebuildProxy of CPython Lib/multiprocessing/managers.py. Floor 9.
// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "multiprocessing/remote/connection/address.hpp"
#include "multiprocessing/remote/managers/values.hpp"

namespace multiprocessing::detail {

/// Names an object of a server.
struct Token {
    std::string type;
    connection::Address address;
    std::string id;
};

/// @{
/// Return an address in Python's form, `(host, port)` or a path, and the other way round.
/// @throws TypeError
pickle::object address_object(const connection::Address& address);
connection::Address address_in(const pickle::object& value);
/// @}

/// @{
/// Return a token as a Token of Python's, and the other way round. @throws TypeError
pickle::object token_object(const Token& token);
Token token_in(const pickle::object& value);
/// @}

/// @{
/// Return what a proxy in Python pickles itself as, and the token in that. Python makes a proxy
/// with the methods `exposed` of it. @throws TypeError
pickle::object proxy_object(const Token& token, const std::vector<std::string>& exposed);
Token token_in_proxy(const pickle::object& value);
/// @}

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/managers/token.ipp"
