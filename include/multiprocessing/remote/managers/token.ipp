// multiprocessing/remote/managers/token.ipp
//
// How Python pickles tokens and proxies: see token.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/managers/token.hpp"

#include <cstddef>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

constexpr std::string_view managers_module = "multiprocessing.managers";

inline pickle::object address_object(const connection::Address& address) {
    if (address.is_tcp()) return std::pair(address.host(), address.port());
    if (!address.is_abstract()) return address.path();
    return std::vector<std::byte>(
        reinterpret_cast<const std::byte*>(address.path().data()),
        reinterpret_cast<const std::byte*>(address.path().data()) + address.path().size());
}

inline connection::Address address_in(const pickle::object& value) {
    if (value.type_name() == "str") return connection::Address(value.get<std::string>());
    if (value.type_name() == "bytes") {
        const auto bytes = value.get<std::vector<std::byte>>();
        return connection::Address(
            std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    }
    auto [host, port] = value.get<std::pair<std::string, int>>();
    return {std::move(host), port};
}

inline pickle::object token_object(const Token& token) {
    return pickle::object::make_new(
        pickle::object::global(managers_module, "Token"), {},
        pickle::object::tuple({token.type, address_object(token.address), token.id}));
}

inline Token token_in(const pickle::object& value) {
    if (!value.tree().is_made_by(value.node(), managers_module, "Token")) {
        throw TypeError("a value of type " + value.type_name() + " is no Token");
    }
    auto [type, address, id] =
        value.state().get<std::tuple<std::string, pickle::object, std::string>>();
    return {std::move(type), address_in(address), std::move(id)};
}

/// Returns the proxy class that Python's SyncManager has for a type; "" for a type of a program's
/// own.
inline std::string_view proxy_class_of(std::string_view type) {
    static constexpr std::pair<std::string_view, std::string_view> classes[] = {
        {"list", "ListProxy"},           {"dict", "DictProxy"},
        {"Namespace", "NamespaceProxy"}, {"Value", "ValueProxy"},
        {"Array", "ArrayProxy"},         {"Lock", "AcquirerProxy"},
        {"RLock", "AcquirerProxy"},      {"Semaphore", "AcquirerProxy"},
        {"Event", "EventProxy"},         {"BoundedSemaphore", "AcquirerProxy"},
        {"Barrier", "BarrierProxy"},     {"Condition", "ConditionProxy"},
        {"Iterator", "IteratorProxy"}};
    for (const auto& [known, proxy] : classes) {
        if (known == type) return proxy;
    }
    return {};
}

inline pickle::object proxy_object(const Token& token, const std::vector<std::string>& exposed) {
    const auto global = [](std::string_view name) {
        return pickle::object::global(managers_module, name);
    };
    const std::string_view known = proxy_class_of(token.type);
    // An AutoProxy is told its methods. (Where it goes to its own server, Python before 3.9 takes
    // no AutoProxy.)
    const pickle::object options =
        known.empty() ? pickle::object::dict({{pickle::object("exposed"), names_object(exposed)}})
                      : pickle::object(std::map<std::string, bool>());
    return pickle::object::call(global("RebuildProxy"),
                                {global(known.empty() ? "AutoProxy" : known), token_object(token),
                                 pickle::object("pickle"), options});
}

inline Token token_in_proxy(const pickle::object& value) {
    if (!value.tree().is_made_by(value.node(), managers_module, "RebuildProxy")) {
        throw TypeError("a value of type " + value.type_name() + " is no proxy of a manager");
    }
    return token_in(value.arguments()[1]);
}

}  // namespace multiprocessing::detail
