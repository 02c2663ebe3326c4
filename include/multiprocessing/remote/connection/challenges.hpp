// multiprocessing/remote/connection/challenges.hpp
//
// The two halves of the handshake on a connection that is there already, for programs that
// authenticate by hand. Mirrors CPython Lib/multiprocessing/connection.py, deliver_challenge and
// answer_challenge. Floor 9. SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

#include "multiprocessing/connection.hpp"
#include "multiprocessing/remote/authentication/challenge.hpp"

namespace multiprocessing::connection {

/// Asks the peer to prove that it holds the key. The peer calls `answer_challenge` meanwhile.
///
/// **Blocking**: until the peer has answered.
/// @param connection anything that has send_bytes and recv_bytes(size_t), as a Connection
/// @throws AuthenticationError when it holds another key; the peer is told
/// @throws EOFError when it has left
/// @par Source CPython Lib/multiprocessing/connection.py, deliver_challenge
template <class Peer>
void deliver_challenge(Peer& connection, std::string_view authkey) {
    const detail::Challenge challenge(std::string(authkey), detail::Side::listener);
    connection.send_bytes(challenge.message());
    const std::string answer = connection.recv_bytes(detail::longest_before_proof);
    try {
        challenge.check(answer);
    } catch (const AuthenticationError&) {
        connection.send_bytes(detail::failure_message);
        throw;
    }
    connection.send_bytes(detail::welcome_message);
}

/// Proves to the peer that this side holds the key. The peer calls `deliver_challenge` meanwhile.
///
/// **Blocking**: until the peer has sent its challenge and its verdict.
/// @throws AuthenticationError when the peer holds another key, or sends no challenge
/// @throws EOFError when it has left
/// @par Safety Whoever is answered may be somebody in the middle who passes the answer on. Client
/// and Listener refuse to answer their own side's challenges; by hand, deliver yours first
/// @par Source CPython Lib/multiprocessing/connection.py, answer_challenge
template <class Peer>
void answer_challenge(Peer& connection, std::string_view authkey) {
    const std::string message = connection.recv_bytes(detail::longest_before_proof);
    connection.send_bytes(detail::answer_to(message, authkey, detail::Side::listener));
    detail::check_verdict(connection.recv_bytes(detail::longest_before_proof));
}

}  // namespace multiprocessing::connection
