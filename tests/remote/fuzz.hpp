// What the tests with messages changed at random share. SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/support.hpp"

namespace support {

/// How long each case goes on: MULTIPROCESSING_FUZZ_SECONDS, else one second.
inline double fuzz_seconds() {
    const char* const more = std::getenv("MULTIPROCESSING_FUZZ_SECONDS");
    return more != nullptr ? std::atof(more) : 1;
}

/// The end of the time of a case.
class FuzzTime {
  public:
    [[nodiscard]] bool is_over() const { return std::chrono::steady_clock::now() >= end_; }

  private:
    std::chrono::steady_clock::time_point end_ =
        std::chrono::steady_clock::now() +
        std::chrono::duration_cast<std::chrono::steady_clock::duration>(
            std::chrono::duration<double>(fuzz_seconds()));
};

/// Changes a message in one to four places: bits, bytes, parts of itself and of others.
inline std::string changed(std::string bytes, const std::vector<std::string>& seeds,
                           Random& random) {
    const auto place = [&] { return bytes.empty() ? 0 : random() % bytes.size(); };
    for (unsigned changes = 1 + random() % 4; changes > 0; --changes) {
        const std::string& other = seeds[random() % seeds.size()];
        switch (random() % 6) {
            case 0:
                if (!bytes.empty()) bytes[place()] = static_cast<char>(random());
                break;
            case 1:
                if (!bytes.empty()) bytes[place()] ^= static_cast<char>(1U << (random() % 8));
                break;
            case 2:
                bytes.insert(place(), 1, static_cast<char>(random()));
                break;
            case 3:
                bytes.erase(place(), 1 + random() % 4);
                break;
            case 4:
                if (!other.empty()) {
                    bytes.insert(place(), other, random() % other.size(), random() % 32);
                }
                break;
            default:
                bytes.insert(place(), bytes, place(), random() % 32);
                break;
        }
    }
    return bytes;
}

}  // namespace support
