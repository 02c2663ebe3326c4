// multiprocessing/remote/managers/manager_link.ipp
//
// The connections of a thread to servers: see manager_link.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/managers/manager_link.hpp"

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/remote/connection/client.hpp"
#include "multiprocessing/remote/managers/errors.hpp"

namespace multiprocessing::detail {

/// A connection of this thread, and whose it is.
struct ThreadConnection {
    std::weak_ptr<ManagerLink> link;
    std::unique_ptr<MessageStream> connection;
};

// What the threads have, by link. It is gone before static objects are.
struct ThreadConnections {
    std::map<const ManagerLink*, ThreadConnection> by_link{};
    std::uint32_t depth = fork_depth();

    ~ThreadConnections();
};
inline thread_local bool thread_connections_are_gone = false;
inline ThreadConnections::~ThreadConnections() { thread_connections_are_gone = true; }

/// Returns this thread's connections, null when the thread is about to end.
inline ThreadConnections* thread_connections() {
    if (thread_connections_are_gone) return nullptr;
    static thread_local ThreadConnections connections;
    // A forked child has copies of its parent's, which are no use to it.
    if (connections.depth != fork_depth()) {
        connections.by_link.clear();
        connections.depth = fork_depth();
    }
    return &connections;
}

inline void forget_manager_connections() noexcept {
    if (ThreadConnections* const all = thread_connections()) all->by_link.clear();
}

inline ManagerLink::ManagerLink(connection::Address address, std::string authkey)
    : address_(std::move(address)), authkey_(std::move(authkey)) {}

inline ManagerLink::~ManagerLink() { forget_connection(); }

inline std::shared_ptr<ManagerLink> ManagerLink::to(const connection::Address& address,
                                                    const std::string& authkey) {
    if (ThreadConnections* const all = thread_connections()) {
        for (const auto& [link, entry] : all->by_link) {
            const auto known = entry.link.lock();
            if (known != nullptr && known->address_ == address && known->authkey_ == authkey) {
                return known;
            }
        }
    }
    return std::make_shared<ManagerLink>(address, authkey);
}

inline std::unique_ptr<MessageStream> ManagerLink::connect() const {
    return std::make_unique<MessageStream>(connection::Client(address_, {.authkey = authkey_}));
}

/// Takes a reply apart. @throws TypeError, ValueError
inline ManagerReply reply_in(std::string& message) {
    pickles::Tree parsed = pickles::parse(message);
    const auto owned =
        std::make_shared<const pickles::OwnedTree>(std::move(message), std::move(parsed));
    const pickles::Tree& tree = owned->tree();
    if (tree.top().kind == pickles::ValueKind::tuple) {
        const auto parts = tree.children_of(tree.top());
        if (parts.size() == 2 && tree.at(parts[0]).kind == pickles::ValueKind::text) {
            return {std::string(tree.bytes_of(tree.at(parts[0]))), pickle::object(owned, parts[1])};
        }
    }
    auto [kind, value] =
        pickle::object(owned, tree.root).get<std::pair<std::string, pickle::object>>();
    return {std::move(kind), std::move(value)};
}

inline ManagerReply read_reply(MessageStream& connection) {
    std::string message = connection.receive();
    try {
        return reply_in(message);
    } catch (const TypeError&) {
        throw_foreign_exception(message);
        throw;
    }
}

inline pickle::object ManagerLink::request_bytes(const std::string& request) {
    const auto connection = connect();
    connection->send(request);
    ManagerReply reply = read_reply(*connection);
    if (reply.kind != "#RETURN") throw_reply(reply);
    return std::move(reply.value);
}

/// Returns the name by which a server knows a thread: Process-1, or Process-1|12 for another thread
/// than the first.
inline std::string name_of_this_thread() {
    std::string name = current_process().name();
    if (::gettid() != ::getpid()) name += "|Thread-" + std::to_string(::gettid());
    return name;
}

inline MessageStream& ManagerLink::connection() {
    ThreadConnections* const all = thread_connections();
    if (all == nullptr) throw RuntimeError("the thread ends, and makes no new connections");
    const auto known = all->by_link.find(this);
    if (known != all->by_link.end() && !known->second.link.expired()) {
        return *known->second.connection;
    }
    std::erase_if(all->by_link, [](const auto& entry) { return entry.second.link.expired(); });
    auto connection = connect();
    connection->send(request_of(std::nullopt, "accept_connection", name_of_this_thread()));
    const ManagerReply reply = read_reply(*connection);
    if (reply.kind != "#RETURN") throw_reply(reply);
    return *all->by_link.emplace(this, ThreadConnection{weak_from_this(), std::move(connection)})
                .first->second.connection;
}

inline void ManagerLink::forget_connection() noexcept {
    if (ThreadConnections* const all = thread_connections()) all->by_link.erase(this);
}

inline ManagerReply ManagerLink::call(const std::string& request) {
    MessageStream& connection = this->connection();
    try {
        connection.send(request);
        return read_reply(connection);
    } catch (...) {
        forget_connection();  // what comes next there may be the reply to this call
        throw;
    }
}

inline void throw_reply(const ManagerReply& reply) {
    if (reply.kind == "#ERROR") {
        std::rethrow_exception(reply.value.get<std::exception_ptr>());
    }
    if (reply.kind != "#TRACEBACK" && reply.kind != "#UNSERIALIZABLE") {
        throw ValueError("Unrecognized message type '" + reply.kind + "'");
    }
    if (reply.value.type_name() != "str") {
        throw TypeError("Result " + repr_of(reply.value) + " (kind '" + reply.kind +
                        "') is not a text");
    }
    const auto text = from_object<std::string>(reply.value);
    throw_traceback(reply.kind == "#TRACEBACK" ? text : "Unserializable message: " + text);
}

}  // namespace multiprocessing::detail
