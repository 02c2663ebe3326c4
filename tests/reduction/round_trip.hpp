// A value's way through an archive and back, and through every way in which its message can be cut.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <exception>
#include <multiprocessing/reduction.hpp>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.hpp"

namespace support {

namespace mp_detail = multiprocessing::detail;

/// Reads a T from the bytes and forgets it. Anything may be thrown, nothing else may happen.
template <class T>
bool can_be_read(std::span<const std::byte> bytes) {
    try {
        mp_detail::InputArchive archive(bytes);
        (void)archive.read<T>();
        return true;
    } catch (const std::exception&) {
        return false;
    }
}

/// Returns what arrives when `value` is sent. Also sends it cut short at every byte, which must be
/// an error, and with bytes changed at random, which must not crash.
template <class T>
T round_trip(const T& value) {
    mp_detail::OutputArchive output;
    output(value);
    // At an odd address: nothing may rely on alignment.
    const std::string odd =
        "x" + std::string(reinterpret_cast<const char*>(output.view().data()), output.size());
    const auto bytes = std::as_bytes(std::span<const char>(odd)).subspan(1);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        // In a block of its own, whose end the address sanitizer guards.
        const std::vector<std::byte> cut(bytes.begin(), bytes.begin() + std::ptrdiff_t(size));
        if (can_be_read<T>(cut)) {
            FAIL("a message cut after " << size << " of " << bytes.size() << " bytes was read");
        }
    }
    std::mt19937 random(1);
    for (int round = 0; round < 200 && !bytes.empty(); ++round) {
        std::vector<std::byte> changed(bytes.begin(), bytes.end());
        for (int i = 0; i < 3; ++i) changed[random() % changed.size()] = std::byte(random() & 0xff);
        (void)can_be_read<T>(changed);
    }
    mp_detail::InputArchive odd_input(bytes);
    (void)odd_input.read<T>();
    mp_detail::InputArchive input(output.view());
    T result = input.read<T>();
    CHECK(input.remaining() == 0);
    return result;
}

/// The value arrives as it was sent.
template <class T>
bool arrives(const T& value) {
    return round_trip(value) == value;
}

}  // namespace support
