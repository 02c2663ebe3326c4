// multiprocessing/remote/authentication/handshake.ipp
//
// The order of the messages: see handshake.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/authentication/handshake.hpp"

#include <optional>
#include <string>
#include <string_view>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/remote/authentication/challenge.hpp"

namespace multiprocessing::detail {

inline std::optional<std::string> Handshake::begin() {
    if (side_ == Side::client) return std::nullopt;
    challenge_.emplace(key_, side_);
    return challenge_->message();
}

inline Handshake::Step Handshake::take(std::string_view message) {
    if (challenge_) return take_answer(message);
    if (!has_answered_) {
        has_answered_ = true;
        return {.reply = answer_to(message, key_, side_)};
    }
    check_verdict(message);
    has_proved_ = true;
    if (peer_has_proved_) return {};
    challenge_.emplace(key_, side_);
    return {.reply = challenge_->message()};
}

inline Handshake::Step Handshake::take_answer(std::string_view message) {
    try {
        challenge_->check(message);
    } catch (const AuthenticationError& error) {
        return {.reply = std::string(failure_message), .failure = error.what()};
    }
    challenge_.reset();
    peer_has_proved_ = true;
    return {.reply = std::string(welcome_message)};
}

}  // namespace multiprocessing::detail
