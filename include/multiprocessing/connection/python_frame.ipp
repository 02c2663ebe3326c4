// multiprocessing/connection/python_frame.ipp
//
// How CPython's framing is written and read: see python_frame.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/connection/python_frame.hpp"

#include <sys/uio.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

#include "multiprocessing/connection/byte_stream.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/reduction/archive/archive.hpp"

namespace multiprocessing::detail {

/// Puts the low bytes of a number, most significant first.
inline void put_big_endian(std::byte* to, std::uint64_t number, std::size_t size) noexcept {
    for (std::size_t i = 0; i < size; ++i) {
        to[i] = static_cast<std::byte>(number >> (8 * (size - 1 - i)));
    }
}
inline std::uint64_t get_big_endian(std::span<const std::byte> bytes) noexcept {
    std::uint64_t number = 0;
    for (const std::byte byte : bytes) number = number << 8 | std::to_integer<std::uint64_t>(byte);
    return number;
}

MULTIPROCESSING_INLINE PythonHeader::PythonHeader(std::uint64_t body) noexcept
    : used_(body > 0x7fff'ffff ? long_size : short_size) {
    put_big_endian(bytes_, used_ == long_size ? ~std::uint64_t{0} : body, short_size);
    if (used_ == long_size) {
        put_big_endian(bytes_ + short_size, body, long_size - short_size);
    } else {
        std::memset(bytes_ + short_size, 0, long_size - short_size);
    }
}

MULTIPROCESSING_INLINE std::optional<std::uint64_t> PythonHeader::read(
    std::span<const std::byte> bytes) {
    const std::uint64_t size = get_big_endian(bytes.first(short_size));
    if (size <= 0x7fff'ffff) return size;
    if (size != 0xffff'ffff) throw_damaged("its size is negative");
    if (bytes.size() < long_size) return std::nullopt;
    const std::uint64_t large = get_big_endian(bytes.subspan(short_size, long_size - short_size));
    // No address space has so many bytes.
    if (large >> 56 != 0) throw_damaged("it is larger than any memory");
    return large;
}

MULTIPROCESSING_INLINE void PythonFraming::write(ByteStream stream,
                                                 std::span<const std::byte> body) {
    const PythonHeader header(body.size());
    // Of a small message, copying the bytes costs less than telling the kernel of two parts.
    std::array<std::byte, 2048> whole;
    if (body.size() <= whole.size() - PythonHeader::short_size) {
        const auto first = header.bytes();
        std::memcpy(whole.data(), first.data(), first.size());
        if (!body.empty()) std::memcpy(whole.data() + first.size(), body.data(), body.size());
        return write_all(stream, std::span(whole).first(first.size() + body.size()));
    }
    const auto part = [](std::span<const std::byte> bytes) {
        return iovec{const_cast<std::byte*>(bytes.data()), bytes.size()};  // only read
    };
    std::array parts{part(header.bytes()), part(body)};
    write_all(stream, parts);
}

MULTIPROCESSING_INLINE std::optional<std::uint64_t> PythonFraming::read_header(
    ByteStream stream, SpinBudget& waiting) {
    std::array<std::byte, PythonHeader::long_size> bytes;
    const auto first = std::span(bytes).first(PythonHeader::short_size);
    const std::size_t got = read_all_soon(stream, first, waiting);
    if (got == 0) return std::nullopt;
    if (got != first.size()) throw_cut_off();
    const std::optional<std::uint64_t> size = PythonHeader::read(first);
    if (size) return size;
    read_rest(stream, std::span(bytes).subspan(PythonHeader::short_size));
    return PythonHeader::read(bytes);
}

}  // namespace multiprocessing::detail
