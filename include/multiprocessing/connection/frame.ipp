// multiprocessing/connection/frame.ipp
//
// How a message is written, and how the descriptors attached to it are sent and received: see
// frame.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/connection/frame.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "multiprocessing/connection/byte_stream.hpp"
#include "multiprocessing/detail/descriptor_passing.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/reduction/archive/archive.hpp"
#include "multiprocessing/reduction/archive/payload.hpp"

namespace multiprocessing::detail {

/// Copies bytes to the content of a cell, unless they lie there already.
inline void fill_cell(Cell& cell, std::span<const std::byte> bytes, std::size_t at = 0) noexcept {
    if (bytes.empty() || bytes.data() == cell.content + at) return;
    std::memcpy(cell.content + at, bytes.data(), bytes.size());
}

/// Zeroes the rest of a cell. Otherwise bytes of this process's stack would be sent.
inline void pad_cell(Cell& cell, std::size_t used) noexcept {
    std::memset(cell.content + used, 0, sizeof(cell.content) - used);
}

/// Writes the byte that the descriptors are attached to. When the kernel refuses the descriptors,
/// the byte goes without them: the message has begun, and the next one must be found behind it.
/// @returns 0, or why they were refused: ETOOMANYREFS
inline int write_attached(ByteStream stream, std::span<const int> fds) {
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

/// Writes a message of any kind. The parts of the content are written from where they lie.
/// Descriptors go with a byte of their own, because descriptors that come with bytes that are just
/// read are lost.
inline void write_in_parts(ByteStream stream, const OutgoingMessage& message, Cell& cell) {
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
        const std::size_t head = (std::min)(content[i].size(), sizeof(cell.content) - in_cell);
        fill_cell(cell, content[i].first(head), in_cell);
        in_cell += head;
        parts[i + 1] = {const_cast<std::byte*>(content[i].data() + head),  // only read
                        content[i].size() - head};
    }
    pad_cell(cell, in_cell);
    if (message.attached.empty()) return write_all(stream, parts);
    write_all(stream, cell.bytes());
    const int error = write_attached(stream, message.attached);
    write_all(stream, std::span(parts).subspan(1));
    if (error != 0) throw_system_error("sendmsg", error);
}

MULTIPROCESSING_INLINE void FamilyFraming::write(ByteStream stream, const OutgoingMessage& message,
                                                 Cell& cell) {
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
        fill_cell(cell, message.body);
        fill_cell(cell, message.more_body, message.body.size());
        pad_cell(cell, header.content_size());
        return write_all(stream, cell.bytes());
    }
    write_in_parts(stream, message, cell);
}

MULTIPROCESSING_INLINE std::vector<Descriptor> FamilyFraming::read_attached(ByteStream stream) {
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

}  // namespace multiprocessing::detail
