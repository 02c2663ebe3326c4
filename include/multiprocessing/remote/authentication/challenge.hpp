// multiprocessing/remote/authentication/challenge.hpp
//
// A challenge and its answer: one side sends a text that nobody can foresee, the other one answers
// with a MAC of it, which only a holder of the key can make. The texts are those of CPython
// Lib/multiprocessing/connection.py, deliver_challenge and answer_challenge. Floor 9. Start at
// Challenge.
//
// Reflection. Who holds no key can have a challenge answered by the very client that made it, on
// another of its connections. So the challenges of a client carry a mark, a MAC of the bytes before
// it, which looks as random as the rest. No client answers a challenge with the mark of its own
// key. A listener does: it answers after the client has proved itself.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace multiprocessing::detail {

/// How long a message may be before the peer has proved itself, in bytes.
constexpr std::size_t longest_before_proof = 256;

/// The peer has proved itself, or not.
constexpr std::string_view welcome_message = "#WELCOME#";
constexpr std::string_view failure_message = "#FAILURE#";

/// Which end of a connection this is.
enum class Side : bool { listener, client };

/// A challenge to the peer.
class Challenge {
  public:
    /// @param side whose it is: a client marks it
    Challenge(std::string key, Side side);

    /// Returns what to send.
    [[nodiscard]] std::string message() const;

    /// Checks the peer's answer. @throws AuthenticationError when the peer has not made it with the
    /// key
    void check(std::string_view answer) const;

  private:
    std::string key_;
    std::string text_;  // what the MAC is of: the name of a hash function, and 40 bytes
};

/// Answers a challenge of the peer.
/// @param message what the peer has sent
/// @param side    who answers: a client refuses what is marked as a client's
/// @throws AuthenticationError when it is no challenge, or one of a client's to be reflected
std::string answer_to(std::string_view message, std::string_view key, Side side);

/// Checks what the peer says of this side's answer. @throws AuthenticationError
void check_verdict(std::string_view message);

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/authentication/challenge.ipp"
