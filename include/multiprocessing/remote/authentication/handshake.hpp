// multiprocessing/remote/authentication/handshake.hpp
//
// The handshake of a Listener and a Client, without the connection: messages of the peer go in,
// messages for the peer come out. Each side challenges the other; the listener is the first to. So
// one thread can be in the middle of many of them. Floor 9. Start at Handshake.
// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "multiprocessing/remote/authentication/challenge.hpp"

namespace multiprocessing::detail {

/// One side of a handshake.
class Handshake {
  public:
    Handshake(std::string key, Side side) : key_(std::move(key)), side_(side) {}

    /// Returns what to send before anything has come: the listener's challenge.
    std::optional<std::string> begin();

    /// What follows from a message.
    struct Step {
        std::optional<std::string> reply = {};    // to send
        std::optional<std::string> failure = {};  // why the peer was refused
    };

    /// Takes the next message of the peer.
    /// @throws AuthenticationError when there is nothing to tell the peer
    Step take(std::string_view message);

    /// Returns whether each side has proved to the other that it holds the key.
    [[nodiscard]] bool is_done() const noexcept { return has_proved_ && peer_has_proved_; }

  private:
    Step take_answer(std::string_view message);

    std::string key_;
    Side side_;
    std::optional<Challenge> challenge_;  // sent, and not answered yet
    bool has_answered_ = false;
    bool has_proved_ = false;
    bool peer_has_proved_ = false;
};

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/authentication/handshake.ipp"
