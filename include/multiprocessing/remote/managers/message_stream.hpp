// multiprocessing/remote/managers/message_stream.hpp
//
// The messages between a manager's server and a client, as the only user of their connection has
// them. It reads ahead, so that a small message is one system call on either side. A Connection
// cannot: others may look at its descriptor, or have a copy of it. Floor 9. Start at
// MessageStream::receive. SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "multiprocessing/connection/byte_stream.hpp"
#include "multiprocessing/connection/connection.hpp"
#include "multiprocessing/connection/python_frame.hpp"
#include "multiprocessing/detail/spinning.hpp"

namespace multiprocessing::detail {

/// A connection in CPython's framing that one thread at a time sends and receives through. What has
/// been read too much of it stays for the next call, so a peer may send requests before it has the
/// replies to those before.
class MessageStream {
  public:
    explicit MessageStream(Connection connection)
        : connection_(std::move(connection)), stream_{connection_.fileno(), true} {}
    MessageStream(const MessageStream&) = delete;
    MessageStream& operator=(const MessageStream&) = delete;

    /// Sends a message. @throws std::system_error EPIPE
    void send(std::string_view message) {
        PythonFraming::write(stream_, std::as_bytes(std::span(message)));
    }

    /// Receives the next message, and waits for it.
    /// @throws EOFError, std::system_error ECONNRESET when the peer has closed its end
    /// @throws ProcessError when the bytes are no message, std::bad_alloc
    std::string receive();

    [[nodiscard]] int fileno() const noexcept { return stream_.fd; }
    void close() noexcept { connection_.close(); }

  private:
    [[nodiscard]] std::span<const std::byte> ahead() const noexcept {
        return std::span(buffer_).subspan(begin_, end_ - begin_);
    }
    /// Reads on until so many bytes are there. @returns false at the end of the stream
    bool read_ahead(std::size_t wanted);
    std::string receive_body(std::size_t size);

    Connection connection_;
    ByteStream stream_;
    SpinBudget waiting_;
    std::size_t begin_ = 0;  // of what has been read and not been taken
    std::size_t end_ = 0;
    std::array<std::byte, 4096> buffer_;
};

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/managers/message_stream.ipp"
