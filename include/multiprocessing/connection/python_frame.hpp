// multiprocessing/connection/python_frame.hpp
//
// How a message lies in the stream between a Listener and a Client, in whichever of the two
// languages they are written. The framing of CPython Lib/multiprocessing/connection.py, Connection:
//      0  i32  size of the body in bytes, most significant byte first
//      4       the body
// and for a body of 2 GiB or more:
//      0  i32  −1
//      4  u64  size of the body
//     12       the body
// Floor 4. Start at PythonFraming. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "multiprocessing/connection/byte_stream.hpp"
#include "multiprocessing/detail/spinning.hpp"

namespace multiprocessing::detail {

/// The first bytes of a message.
class PythonHeader {
  public:
    static constexpr std::size_t short_size = 4;
    static constexpr std::size_t long_size = 12;

    /// Makes the header of a body of so many bytes.
    explicit PythonHeader(std::uint64_t body) noexcept;

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        return std::span(bytes_).first(used_);
    }

    /// Reads the size of the body from a header, or from its first four bytes.
    /// @returns nothing when there are four bytes and eight more are needed
    /// @throws ProcessError when no message begins so
    static std::optional<std::uint64_t> read(std::span<const std::byte> bytes);

  private:
    std::byte bytes_[long_size];
    std::size_t used_;
};

/// The framing that CPython uses. Nothing is read ahead, so what poll(2) says of the descriptor is
/// true.
struct PythonFraming {
    /// Writes a message. Header and body leave together, whatever the size: one system call, and no
    /// wait for the peer's acknowledgement of the header. @throws std::system_error EPIPE
    static void write(ByteStream stream, std::span<const std::byte> body);

    /// Reads the header of the next message. @param waiting how long to look out for it before
    /// sleeping @returns nothing at the end of the stream
    /// @throws std::system_error ECONNRESET when the stream ends within the header
    /// @throws ProcessError when the bytes are no such header
    static std::optional<std::uint64_t> read_header(ByteStream stream, SpinBudget& waiting);
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/connection/python_frame.ipp"
#endif
