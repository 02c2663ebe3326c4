// multiprocessing/remote/pickle/source.ipp
//
// How bytes are taken from a message, see source.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/pickle/source.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <string>
#include <type_traits>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail::pickles {

inline void Source::fail(std::string_view what) const {
    throw ValueError("a pickle of " + std::to_string(message_.size()) +
                     " bytes cannot be read: before byte " + std::to_string(at_) + ", " +
                     std::string(what));
}

inline std::string_view Source::take(std::uint64_t size) {
    if (size > message_.size() - at_) fail("it is cut short");
    const std::string_view taken = message_.substr(at_, static_cast<std::size_t>(size));
    at_ += taken.size();
    return taken;
}

inline std::string_view Source::take_line() {
    const std::size_t end = message_.find('\n', at_);
    if (end == std::string_view::npos) fail("it is cut short");
    const std::string_view line = take(end - at_);
    ++at_;
    return line;
}

/// Takes a number in the format's byte order: the lowest byte first, except in floats.
template <class Number>
Number Source::take_number() {
    const std::string_view bytes = take(sizeof(Number));
    std::array<char, sizeof(Number)> buffer;
    constexpr bool is_little = !std::is_floating_point_v<Number>;
    if (is_little == (std::endian::native == std::endian::little)) {
        std::copy(bytes.begin(), bytes.end(), buffer.begin());
    } else {
        std::copy(bytes.rbegin(), bytes.rend(), buffer.begin());
    }
    return std::bit_cast<Number>(buffer);
}

}  // namespace multiprocessing::detail::pickles
