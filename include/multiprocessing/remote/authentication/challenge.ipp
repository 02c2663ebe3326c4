// multiprocessing/remote/authentication/challenge.ipp
//
// How challenges are made, marked, answered and checked: see challenge.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/authentication/challenge.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/remote/authentication/mac.hpp"

namespace multiprocessing::detail {

constexpr std::string_view challenge_prefix = "#CHALLENGE#";
/// CPython before 3.12 answers a text of any size, and makes texts of 20 bytes. Later ones take a
/// text of 20 bytes, or an answer of 16, for one of an older version.
constexpr std::size_t old_challenge_size = 20;
constexpr std::size_t old_answer_size = 16;
constexpr std::size_t nonce_size = 40;
constexpr std::size_t mark_size = 16;

/// A hash function, and what follows its name: "{sha256}…".
struct NamedDigest {
    const Digest* digest = nullptr;  // null: there is no such name in front
    std::string_view rest;
};

inline NamedDigest split_digest(std::string_view text) noexcept {
    if (text.empty() || text.front() != '{') return {};
    const std::size_t end = text.substr(0, 16).find('}');
    if (end == std::string_view::npos) return {};
    return {find_digest(text.substr(1, end - 1)), text.substr(end + 1)};
}

inline std::string with_name(const Digest& digest, std::string_view rest) {
    std::string text = "{";
    return text.append(digest.name).append("}").append(rest);
}

/// Returns the mark for a client's challenge that begins with these bytes. No answer to a challenge
/// is a mark: what is answered with this hash function begins with "{".
inline std::string client_mark(std::string_view key, std::string_view beginning) {
    return hmac(sha256_digest(), key, "#CLIENT#" + std::string(beginning)).substr(0, mark_size);
}

inline bool has_client_mark(std::string_view text, std::string_view key) {
    if (text.size() < nonce_size) return false;
    const std::string_view nonce = text.substr(text.size() - nonce_size);
    const std::size_t end = nonce_size - mark_size;
    return equal_in_constant_time(client_mark(key, nonce.substr(0, end)), nonce.substr(end));
}

inline Challenge::Challenge(std::string key, Side side) : key_(std::move(key)) {
    std::string nonce = random_bytes(nonce_size);
    if (side == Side::client) {
        nonce.resize(nonce_size - mark_size);
        nonce += client_mark(key_, nonce);
    }
    text_ = with_name(sha256_digest(), nonce);
}

inline std::string Challenge::message() const { return std::string(challenge_prefix) + text_; }

inline void Challenge::check(std::string_view answer) const {
    NamedDigest named = split_digest(answer);
    if (answer.size() == old_answer_size) named = {&md5_digest(), answer};
    if (named.digest == nullptr) {
        throw AuthenticationError("the peer did not answer the challenge as multiprocessing does");
    }
    // The MAC is of the name too, which so cannot be replaced by that of a weaker function.
    if (!equal_in_constant_time(hmac(*named.digest, key_, text_), named.rest)) {
        throw AuthenticationError("digest received was wrong: the peer has another authkey");
    }
}

inline std::string answer_to(std::string_view message, std::string_view key, Side side) {
    if (!message.starts_with(challenge_prefix)) {
        throw AuthenticationError(
            "the peer did not send a challenge: it is no Listener or Client, or one without "
            "authkey");
    }
    const std::string_view text = message.substr(challenge_prefix.size());
    if (text.size() < old_challenge_size) {
        throw AuthenticationError("the challenge is too short: it has " +
                                  std::to_string(text.size()) + " bytes");
    }
    if (side == Side::client && has_client_mark(text, key)) {
        throw AuthenticationError(
            "the challenge is that of a client, reflected: the peer does not know the authkey");
    }
    if (text.size() == old_challenge_size) return hmac(md5_digest(), key, text);
    const Digest* const digest = split_digest(text).digest;
    if (digest == nullptr) {
        throw AuthenticationError("the challenge names no hash function that is allowed");
    }
    return with_name(*digest, hmac(*digest, key, text));
}

inline void check_verdict(std::string_view message) {
    if (message != welcome_message) {
        throw AuthenticationError("digest sent was rejected: the peer has another authkey");
    }
}

}  // namespace multiprocessing::detail
