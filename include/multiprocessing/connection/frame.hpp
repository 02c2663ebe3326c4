// multiprocessing/connection/frame.hpp
//
// How a message lies in the stream. It begins with a cell of fixed size. For most messages that is
// all: they take one write, and one read of exactly the cell. Nothing is read ahead, so what
// poll(2) says of the descriptor is true. Floor 4. Start at FamilyFraming.
//
// The bytes of a message:
//      0  u64  size of the body, in bytes
//      8  u64  fingerprint of the object's type; 0: bytes
//     16  u32  number of handles
//     20  u16  number of descriptors attached to the byte that follows the cell
//     22  u16  how many of the handles are tickets for parked descriptors; 65535: that or more
//     24  u64  check of the above
//     32       the beginning of the content, padded with zeros to the end of the cell at 96
//     96       one byte, if and only if descriptors are attached to it
//      …       the rest of the content
// The content is the body, padded to 8 bytes if handles follow, and then for each handle a u64, the
// place of its object in the heap. The message holds one count of each handle.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "multiprocessing/connection/byte_stream.hpp"
#include "multiprocessing/detail/descriptor_passing.hpp"
#include "multiprocessing/reduction/archive/archive.hpp"
#include "multiprocessing/reduction/archive/payload.hpp"

namespace multiprocessing::detail {

/// Leaves room for 64 bytes of content. Small messages pay for a larger cell: with 128 bytes a
/// stream of them took 1.19 times as long as through a raw pipe, with 96 bytes 1.13 times.
constexpr std::size_t cell_size = 96;

/// The first bytes of a cell.
struct FrameHeader {
    std::uint64_t size;      //  0
    std::uint64_t type;      //  8
    std::uint32_t handles;   // 16
    std::uint16_t attached;  // 20
    std::uint16_t parked;    // 22
    std::uint64_t check;     // 24

    /// Returns a hash of the other fields. Bytes that are no header are found out by it at once,
    /// and not by a wait for exabytes.
    [[nodiscard]] std::uint64_t expected_check() const noexcept {
        const std::uint64_t counts =
            handles | std::uint64_t{attached} << 32 | std::uint64_t{parked} << 48;
        std::uint64_t hash = 0x6d70'6672'616d'6531;  // "mpframe1"
        for (const std::uint64_t field : {size, type, counts}) {
            hash = (hash ^ field) * 0x9e37'79b9'7f4a'7c15;
            hash ^= hash >> 32;
        }
        return hash;
    }
    /// Returns the size of the content, in bytes.
    [[nodiscard]] std::size_t content_size() const noexcept {
        const auto body = static_cast<std::size_t>(size);
        return handles == 0 ? body : padded_to_8(body) + std::size_t{handles} * 8;
    }
    [[nodiscard]] bool is_valid() const noexcept {
        constexpr std::uint64_t largest = std::uint64_t{1} << 56;
        const bool bytes_alone = type != 0 || (handles == 0 && attached == 0);
        return check == expected_check() && size <= largest && bytes_alone &&
               attached <= most_descriptors;
    }
};
static_assert(sizeof(FrameHeader) == 32);

/// The first bytes of a message.
struct Cell {
    FrameHeader header;
    std::byte content[cell_size - sizeof(FrameHeader)];

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        return std::as_bytes(std::span(this, 1));
    }
    /// Returns the part of the content that is in the cell.
    [[nodiscard]] std::span<const std::byte> beginning() const noexcept {
        const std::size_t size = header.content_size();
        return std::span(content).first(size < sizeof(content) ? size : sizeof(content));
    }
    /// Returns how many bytes of the content follow the cell.
    [[nodiscard]] std::size_t rest_size() const noexcept {
        return header.content_size() - beginning().size();
    }
};
static_assert(sizeof(Cell) == cell_size);

/// A message to be sent.
struct OutgoingMessage {
    std::uint64_t type = 0;
    std::span<const std::byte> body;  // may lie at the beginning of the cell's content already
    std::span<const std::byte> more_body = {};  // a large array, where it lies
    std::span<const std::uint64_t> handles = {};
    std::span<const int> attached = {};
    std::uint16_t parked = 0;
};

/// The framing between the processes of a family. A framing is these functions on a stream: write,
/// read_cell, read_attached, read_content. CPython's, which the connections of a Listener have, is
/// PythonFraming.
struct FamilyFraming {
    /// Writes a message. @param cell where to put it together
    /// @throws std::system_error EPIPE
    static void write(ByteStream stream, const OutgoingMessage& message, Cell& cell);

    /// Reads the first cell of the next message. @returns false at the end of the stream
    /// @throws std::system_error ECONNRESET when the stream ends within the cell
    /// @throws ProcessError when the bytes are no such cell
    static bool read_cell(ByteStream stream, Cell& cell) {
        const std::size_t got = read_all(stream, std::as_writable_bytes(std::span(&cell, 1)));
        if (got == 0) return false;
        if (got != sizeof(cell)) throw_cut_off();
        if (!cell.header.is_valid()) throw_damaged("it does not begin as a message does");
        return true;
    }

    /// Takes the attached descriptors.
    /// @returns fewer than the cell says when the sender could not attach them
    /// @throws std::system_error EMFILE; then they stay in the stream
    static std::vector<Descriptor> read_attached(ByteStream stream);

    /// Reads the content that follows the cell. @param rest has the size that the cell says
    static void read_content(ByteStream stream, std::span<std::byte> rest) {
        read_rest(stream, rest);
    }
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/connection/frame.ipp"
#endif
