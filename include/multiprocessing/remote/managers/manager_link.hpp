// multiprocessing/remote/managers/manager_link.hpp
//
// The way of a client to a manager's server: its address and key, and a connection of each thread
// that calls methods. Mirrors dispatch and BaseProxy._connect of CPython
// Lib/multiprocessing/managers.py. Floor 9. Start at ManagerLink::call. SPDX-License-Identifier:
// MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "multiprocessing/remote/connection/address.hpp"
#include "multiprocessing/remote/managers/message_stream.hpp"
#include "multiprocessing/remote/managers/values.hpp"

namespace multiprocessing::detail {

/// Writes a request: `(ident or None, method, args, kwds)`.
template <class Ident, class... Args>
std::string request_of(const Ident& ident, std::string_view method, const Args&... args) {
    (pickles::require_travels<std::decay_t<const Args&>>(), ...);
    pickles::Writer writer;
    const auto write_tuple = [&](const auto&... items) {
        writer.begin(pickles::ValueKind::tuple, sizeof...(items));
        (pickles::write_value<std::decay_t<decltype(items)>>(writer, items), ...);
        writer.end(pickles::ValueKind::tuple, sizeof...(items));
    };
    writer.begin(pickles::ValueKind::tuple, 4);
    pickles::write_value(writer, ident);
    writer.write_text(method);
    write_tuple(args...);
    writer.begin(pickles::ValueKind::dict, 0);
    writer.end(pickles::ValueKind::dict, 0);
    writer.end(pickles::ValueKind::tuple, 4);
    return std::move(writer).finish();
}

/// What a server has answered: its kind, as `#RETURN`, and the value.
struct ManagerReply {
    std::string kind;
    pickle::object value;
};

/// The way to a server. Its proxies and its manager share it.
class ManagerLink : public std::enable_shared_from_this<ManagerLink> {
  public:
    ManagerLink(connection::Address address, std::string authkey);
    ManagerLink(const ManagerLink&) = delete;
    ManagerLink& operator=(const ManagerLink&) = delete;
    /// Closes this thread's connection. Other threads close theirs when they end, or use another
    /// link.
    ~ManagerLink();

    /// Returns the link of this thread to the same server, or a new one.
    static std::shared_ptr<ManagerLink> to(const connection::Address& address,
                                           const std::string& authkey);

    /// Calls a function of the server itself, over a connection of its own.
    /// @throws RemoteError what it throws there
    template <class... Args>
    pickle::object request(std::string_view function, const Args&... args) {
        return request_bytes(request_of(std::nullopt, function, args...));
    }

    /// Sends a request for an object over this thread's connection.
    ManagerReply call(const std::string& request);

    [[nodiscard]] const connection::Address& address() const noexcept { return address_; }
    [[nodiscard]] const std::string& authkey() const noexcept { return authkey_; }

    /// Notes that the server has been shut down: nothing needs to be given back.
    void note_shutdown() noexcept { is_shut_.store(true); }
    [[nodiscard]] bool is_shut() const noexcept { return is_shut_.load(); }

  private:
    pickle::object request_bytes(const std::string& request);
    [[nodiscard]] std::unique_ptr<MessageStream> connect() const;
    MessageStream& connection();
    void forget_connection() noexcept;

    connection::Address address_;
    std::string authkey_;
    std::atomic<bool> is_shut_{false};
};

/// Throws what a reply that is neither `#RETURN` nor `#PROXY` stands for.
[[noreturn]] void throw_reply(const ManagerReply& reply);

/// Closes the connections of this thread to all servers. A forked child does it first of all.
void forget_manager_connections() noexcept;

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/managers/manager_link.ipp"
