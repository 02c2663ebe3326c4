// multiprocessing/remote/authentication/mac.hpp
//
// The message authentication codes by which both ends of a connection prove that they hold the same
// key: HMAC, by OpenSSL's libcrypto. Floor 9. SPDX-License-Identifier: MIT
#pragma once

#if !__has_include(<openssl/evp.h>)
#error \
    "multiprocessing/remote.hpp needs OpenSSL's libcrypto: install libssl-dev (Debian, Ubuntu) \
and link the CMake target multiprocessing::remote, or -lcrypto"
#endif

#include <cstddef>
#include <string>
#include <string_view>

namespace multiprocessing::detail {

/// A hash function, as the handshake names it and as OpenSSL does.
struct Digest {
    std::string_view name;
    const char* openssl_name;
};

/// Returns the hash function that the handshake calls so, e.g. "sha256"; null when CPython's allows
/// no such one.
const Digest* find_digest(std::string_view name) noexcept;

/// What every version of CPython before 3.12 uses.
const Digest& md5_digest() noexcept;
/// What is used wherever the peer knows it.
const Digest& sha256_digest() noexcept;

/// Returns the HMAC of a message.
/// @throws RuntimeError when this OpenSSL does not have the hash function (MD5 in FIPS mode)
std::string hmac(const Digest& digest, std::string_view key, std::string_view message);

/// Compares in a time that does not tell where the first difference is.
bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept;

/// Returns bytes that nobody can foresee; at most 256.
std::string random_bytes(std::size_t count);

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/authentication/mac.ipp"
