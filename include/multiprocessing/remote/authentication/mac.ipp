// multiprocessing/remote/authentication/mac.ipp
//
// HMAC by OpenSSL: see mac.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/authentication/mac.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/random.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

/// Those of CPython's _ALLOWED_DIGESTS.
inline constexpr Digest known_digests[] = {{"md5", "MD5"},
                                           {"sha256", "SHA2-256"},
                                           {"sha384", "SHA2-384"},
                                           {"sha3_256", "SHA3-256"},
                                           {"sha3_384", "SHA3-384"}};

inline const Digest* find_digest(std::string_view name) noexcept {
    for (const Digest& digest : known_digests) {
        if (digest.name == name) return &digest;
    }
    return nullptr;
}

inline const Digest& md5_digest() noexcept { return known_digests[0]; }
inline const Digest& sha256_digest() noexcept { return known_digests[1]; }

inline std::string hmac(const Digest& digest, std::string_view key, std::string_view message) {
    std::string code(EVP_MAX_MD_SIZE, '\0');
    std::size_t size = 0;
    // Never null: for OpenSSL that would be "no key", and an empty one is a key.
    const char* const key_bytes = key.empty() ? "" : key.data();
    const unsigned char* const done =
        ::EVP_Q_mac(nullptr, "HMAC", nullptr, digest.openssl_name, nullptr, key_bytes, key.size(),
                    reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                    reinterpret_cast<unsigned char*>(code.data()), code.size(), &size);
    if (done == nullptr) {
        throw RuntimeError("OpenSSL cannot compute an HMAC with " + std::string(digest.name) +
                           ": see its settings (the providers, FIPS mode)");
    }
    code.resize(size);
    return code;
}

inline bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

inline std::string random_bytes(std::size_t count) {
    std::string bytes(count, '\0');
    checked(::getrandom(bytes.data(), count, 0), "getrandom");  // up to 256 bytes come whole
    return bytes;
}

}  // namespace multiprocessing::detail
