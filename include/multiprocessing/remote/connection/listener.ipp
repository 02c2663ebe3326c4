// multiprocessing/remote/connection/listener.ipp
//
// What a Listener does: see listener.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/connection/listener.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "multiprocessing/connection.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/remote/connection/listener_state.hpp"

namespace multiprocessing::connection {

inline Address address_of_family(Address address, const std::string& family) {
    if (!family.empty() && family != "AF_UNIX" && family != "AF_INET") {
        throw ValueError("Family " + family + " is not recognized.");
    }
    if (address.empty() && family == "AF_INET") return {"localhost", 0};
    if (!family.empty() && family != address.family()) {
        throw ValueError(text_of(address) + " is no address of the family " + family);
    }
    return address;
}

inline Listener::Listener(Address address, const ListenerOptions& options)
    : state_(std::make_unique<detail::ListenerState>(
          address_of_family(std::move(address), options.family), options.authkey, options.backlog,
          options.handshake_timeout)) {}

inline Connection Listener::accept() {
    for (;;) {
        if (auto connection = try_accept(std::nullopt)) return std::move(*connection);
    }
}

inline std::optional<Connection> Listener::try_accept(Timeout timeout) {
    auto fd = state().accept(detail::Deadline(timeout));
    if (!fd) return std::nullopt;
    return detail::python_connection(std::move(*fd));
}

inline Address Listener::address() const {
    if (closed()) throw ValueError("listener is closed");
    return state_->address();
}

inline detail::ListenerState& Listener::state() const {
    if (state_ == nullptr) throw ValueError("listener is closed");
    return *state_;
}

inline std::string text_of(const Listener& listener) {
    if (listener.closed()) return "<Listener closed>";
    return "<Listener " + text_of(listener.state().address()) + ">";
}

}  // namespace multiprocessing::connection
