// multiprocessing/remote/connection/address.hpp
//
// Where a Listener is: a host and a port, or the path of a Unix socket. Mirrors the addresses of
// CPython Lib/multiprocessing/connection.py. Floor 9. SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "multiprocessing/detail/text.hpp"

namespace multiprocessing::connection {

/// The address of a Listener, in one of these forms:
///
///     {"localhost", 8000}     // TCP; port 0: any that is free; host "": all of this machine's
///     "/path/to.sock"         // a Unix socket; "\0name": one with a name and no file
///     {}                      // for a Listener: a fresh Unix socket, in a folder of its own
class Address {
  public:
    /// Makes the address of a fresh Unix socket.
    Address() = default;
    /// Makes the address of a TCP port. @throws ValueError when there is no such port
    Address(std::string host, int port);
    /// Makes the address of a Unix socket.
    /// @throws ValueError for "\\\\.\\name", a pipe of Windows
    Address(std::string path);
    /// @{
    /// Makes the same of other strings. A literal that begins with a zero byte is taken whole.
    Address(std::string_view path) : Address(std::string(path)) {}
    template <class Text>
        requires std::is_convertible_v<const Text&, const char*>
    Address(const Text& path) : Address(text_of_literal(path)) {}
    /// @}

    /// Returns "AF_UNIX" or "AF_INET", which stands for IPv6 too.
    [[nodiscard]] const char* family() const noexcept { return is_tcp() ? "AF_INET" : "AF_UNIX"; }
    /// Returns whether it is a host and a port.
    [[nodiscard]] bool is_tcp() const noexcept { return port_ >= 0; }
    /// Returns whether the socket has a name and no file.
    [[nodiscard]] bool is_abstract() const noexcept { return !path_.empty() && path_[0] == '\0'; }
    /// Returns whether it is that of a fresh Unix socket: the address of no Listener.
    [[nodiscard]] bool empty() const noexcept { return !is_tcp() && path_.empty(); }

    /// @{
    /// Return its parts: host and port of a TCP address, or the path of a Unix socket.
    [[nodiscard]] const std::string& host() const noexcept { return host_; }
    [[nodiscard]] int port() const noexcept { return port_; }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    /// @}

    /// Compares their parts.
    friend bool operator==(const Address&, const Address&) = default;
    /// Prints it as Python does: `('localhost', 8000)`, `'/path/to.sock'`.
    friend std::string text_of(const Address& address);

  private:
    template <class Text>
    static std::string text_of_literal(const Text& text) {
        if constexpr (std::is_array_v<Text>) {
            // A buffer may be larger than its text. An abstract name has no end but the literal's.
            if (text[0] == '\0') return std::string(text, std::extent_v<Text> - 1);
        }
        return text;
    }

    std::string host_;
    int port_ = -1;
    std::string path_;
};

}  // namespace multiprocessing::connection

namespace multiprocessing::detail {

using connection::Address;

/// Nothing can be made one: the list of them is what `{}` means where it might mean more.
class NoAddress {
    explicit NoAddress(const NoAddress&, int);  // declared so that there is no other
};

}  // namespace multiprocessing::detail

#include "multiprocessing/remote/connection/address.ipp"
