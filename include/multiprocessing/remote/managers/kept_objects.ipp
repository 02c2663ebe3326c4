// multiprocessing/remote/managers/kept_objects.ipp
//
// How proxies in a message are found: see kept_objects.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/managers/kept_objects.hpp"

#include <cstddef>
#include <exception>
#include <optional>

#include "multiprocessing/remote/pickle/object.hpp"

namespace multiprocessing::detail {

inline KeptObjects::~KeptObjects() {
    const std::shared_ptr<ObjectTable> table = table_.lock();
    if (table == nullptr) return;  // the server ends
    Releases own;
    Releases& all = releases_ != nullptr ? *releases_ : own;
    for (std::string& id : ids_) all.emplace_back(table, std::move(id));
    if (releases_ != nullptr) return;
    releases_ = &own;
    while (!own.empty()) {
        const auto [from, id] = std::move(own.back());
        own.pop_back();
        from->release(id);
    }
    releases_ = nullptr;
}

/// Says whether an address in a proxy is one of the server's. A server that listens at all of its
/// machine's addresses is known by any; so of TCP the port decides.
inline bool is_address_of(const connection::Address& server, const connection::Address& named) {
    if (server.is_tcp()) return named.is_tcp() && named.port() == server.port();
    return named == server;
}

/// Returns the id in a value that is a proxy of an object of the server.
inline std::optional<std::string> id_in_proxy(const pickle::object& proxy,
                                              const connection::Address& address) {
    try {
        Token token = token_in_proxy(proxy);
        if (is_address_of(address, token.address)) return std::move(token.id);
    } catch (const std::exception&) {
        // It is no proxy, though it is called so. Whoever asks for it as one is told.
    }
    return std::nullopt;
}

inline void keep_objects(const std::shared_ptr<pickles::OwnedTree>& message,
                         const std::shared_ptr<ObjectTable>& table,
                         const connection::Address& address) {
    const pickles::Tree& tree = message->tree();
    std::vector<std::string> kept;
    for (std::size_t i = 0; i < tree.nodes.size(); ++i) {
        if (!tree.is_made_by(tree.nodes[i], managers_module, "RebuildProxy")) continue;
        const auto number = static_cast<pickles::NodeNumber>(i);
        auto id = id_in_proxy(pickle::object(message, number), address);
        if (id && table->keep(*id)) kept.push_back(std::move(*id));
    }
    if (kept.empty()) return;
    message->keep(std::make_shared<const KeptObjects>(table, std::move(kept)));
}

}  // namespace multiprocessing::detail
