// multiprocessing/connection/frame.hpp
//
// How a message lies in the stream. It begins with a cell of fixed size, which for most messages is
// all: one write, and one read of exactly the cell. Nothing is read ahead, so what poll(2) says of
// the descriptor is true. Floor 4. Start at FamilyFraming.
//
// The bytes of a message:
//      0  u64  size of the body, in bytes
//      8  u64  fingerprint of the object's type; 0: bytes
//     16  u32  number of handles
//     20  u16  number of descriptors attached to the byte that follows the cell
//     22  u16  number of the handles that are tickets for parked descriptors, 65535: that or more
//     24  u64  check of the above
//     32       the beginning of the content, padded with zeros to the end of the cell at 96
//     96       one byte, if and only if descriptors are attached to it
//      …       the rest of the content
// The content is the body, padded to 8 bytes if handles follow, and for each handle the u64 of its
// object's place in the heap; the message holds one count of each.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "multiprocessing/connection/byte_stream.hpp"
#include "multiprocessing/detail/descriptor_passing.hpp"
#include "multiprocessing/reduction/archive.hpp"
#include "multiprocessing/reduction/payload.hpp"

namespace multiprocessing::detail {

/// Room for 64 bytes of content. What is written beyond is paid by small messages: with 128 bytes,
/// a stream of them took 1.19 times as long as through a raw pipe, with 96 bytes 1.13 times.
constexpr std::size_t cell_size = 96;

struct FrameHeader {
    std::uint64_t size;      //  0
    std::uint64_t type;      //  8
    std::uint32_t handles;   // 16
    std::uint16_t attached;  // 20
    std::uint16_t parked;    // 22
    std::uint64_t check;     // 24

    /// A hash of the other fields: what is not a header shows at once, not as a wait for exabytes.
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

struct Cell {
    FrameHeader header;
    std::byte content[cell_size - sizeof(FrameHeader)];

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        return std::as_bytes(std::span(this, 1));
    }
    /// Returns what of the content is in the cell.
    [[nodiscard]] std::span<const std::byte> beginning() const noexcept {
        return std::span(content).first(std::min(sizeof(content), header.content_size()));
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

/// The framing between processes of a family. A framing is these functions on a stream: write,
/// read_cell, read_attached, read_content. That of CPython, which a Listener's connections will
/// need, has its place beside this one.
struct FamilyFraming {
    /// Writes a message. @param cell where to put it together
    /// @throws std::system_error EPIPE
    static void write(ByteStream stream, const OutgoingMessage& message, Cell& cell) {
        FrameHeader& header = cell.header;
        header = {message.body.size() + message.more_body.size(),
                  message.type,
                  static_cast<std::uint32_t>(message.handles.size()),
                  static_cast<std::uint16_t>(message.attached.size()),
                  message.parked,
                  0};
        header.check = header.expected_check();
        const bool is_small = header.content_size() <= sizeof(cell.content);
        if (is_small && message.handles.empty() && message.attached.empty()) [[likely]] {
            fill(cell, message.body);
            fill(cell, message.more_body, message.body.size());
            pad(cell, header.content_size());
            return write_all(stream, cell.bytes());
        }
        write_in_parts(stream, message, cell);
    }

    /// Reads the first cell of the next message. @returns false at the end of the stream
    /// @throws std::system_error ECONNRESET when it ends within the cell
    /// @throws ProcessError when it is no such cell
    static bool read_cell(ByteStream stream, Cell& cell) {
        const std::size_t got = read_all(stream, std::as_writable_bytes(std::span(&cell, 1)));
        if (got == 0) return false;
        if (got != sizeof(cell)) throw_cut_off();
        if (!cell.header.is_valid()) throw_damaged("it does not begin as a message does");
        return true;
    }

    /// Takes the attached descriptors. @returns fewer than the cell says where its sender failed
    /// @throws std::system_error EMFILE; then they stay in the stream
    static std::vector<Descriptor> read_attached(ByteStream stream) {
        std::byte byte{};
        const auto bytes = std::span(&byte, 1);
        if (!stream.is_socket) throw_damaged("it says that a pipe carries descriptors");
        // A copy first: if there is no room for all of them here, none is lost.
        auto received = receive_with_descriptors(stream.fd, bytes, MSG_PEEK);
        while (received.size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            wait_for_stream(stream.fd, POLLIN);
            received = receive_with_descriptors(stream.fd, bytes, MSG_PEEK);
        }
        if (received.size == 0 || (received.size < 0 && errno == ECONNRESET)) throw_cut_off();
        if (received.size < 0) throw_system_error("recvmsg");
        if (!received.complete) throw_system_error("recvmsg", EMFILE);
        read_rest(stream, bytes);
        return std::move(received.fds);
    }

    /// Reads the content that follows the cell. @param rest of the size that the cell says
    static void read_content(ByteStream stream, std::span<std::byte> rest) {
        read_rest(stream, rest);
    }

  private:
    /// Copies bytes to the cell's content, unless they lie there already.
    static void fill(Cell& cell, std::span<const std::byte> bytes, std::size_t at = 0) noexcept {
        if (bytes.empty() || bytes.data() == cell.content + at) return;
        std::memcpy(cell.content + at, bytes.data(), bytes.size());
    }
    /// Zeroes the rest of the cell: else what lies on this process's stack would be sent.
    static void pad(Cell& cell, std::size_t used) noexcept {
        std::memset(cell.content + used, 0, sizeof(cell.content) - used);
    }

    /// The general case. The parts of the content are written from where they lie; descriptors go
    /// with a byte apart, because those that come with bytes that are just read are lost.
    static void write_in_parts(ByteStream stream, const OutgoingMessage& message, Cell& cell) {
        static constexpr std::byte padding[8] = {};
        const auto size = static_cast<std::size_t>(cell.header.size);
        const std::size_t gap = message.handles.empty() ? 0 : padded_to_8(size) - size;
        const std::array content = {message.body, message.more_body,
                                    std::span<const std::byte>(padding).first(gap),
                                    std::as_bytes(message.handles)};
        std::array<iovec, 1 + content.size()> parts{};
        parts[0] = {&cell, sizeof(cell)};
        std::size_t in_cell = 0;
        for (std::size_t i = 0; i < content.size(); ++i) {
            const std::size_t head = std::min(content[i].size(), sizeof(cell.content) - in_cell);
            fill(cell, content[i].first(head), in_cell);
            in_cell += head;
            parts[i + 1] = {const_cast<std::byte*>(content[i].data() + head),  // only read
                            content[i].size() - head};
        }
        pad(cell, in_cell);
        if (message.attached.empty()) return write_all(stream, parts);
        write_all(stream, cell.bytes());
        const int error = write_attached(stream, message.attached);
        write_all(stream, std::span(parts).subspan(1));
        if (error != 0) throw_system_error("sendmsg", error);
    }

    /// Writes the byte that the descriptors go with; without them if the kernel refuses them, for
    /// the message has begun and the next one must be found behind it.
    /// @returns 0, or why they were refused: ETOOMANYREFS
    static int write_attached(ByteStream stream, std::span<const int> fds) {
        const std::byte byte{};
        const auto bytes = std::span(&byte, 1);
        while (send_with_descriptors(stream.fd, bytes, fds, 0) < 0) {
            const int error = errno;
            if (error == ETOOMANYREFS || error == ENOBUFS || error == ENOMEM) {
                write_all(stream, bytes);
                return error;
            }
            after_failed_write(stream);
        }
        return 0;
    }
};

}  // namespace multiprocessing::detail
