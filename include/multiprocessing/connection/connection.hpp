// multiprocessing/connection/connection.hpp
//
// Connection: one end of a pipe, through which objects and bytes travel as messages. Mirrors
// CPython Lib/multiprocessing/connection.py, Connection. Floor 4. Start at Connection::send.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/connection/descriptor_lot.hpp"
#include "multiprocessing/connection/handle.hpp"
#include "multiprocessing/connection/message.hpp"
#include "multiprocessing/connection/pickling.hpp"
#include "multiprocessing/connection/sent_type.hpp"
#include "multiprocessing/connection/state.hpp"
#include "multiprocessing/connection/type_registry.hpp"
#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/text.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/reduction.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {

/// One end of a pipe, made by Pipe; or of a socket, made by a Listener or a Client of remote.hpp.
/// It can be moved, and closes when it is destroyed.
///
///     auto [a, b] = mp::Pipe();
///     a.send(42);
///     int x = b.recv<int>();
///
/// Through a pipe objects travel as in the whole family. Through a connection of a Listener or a
/// Client they are pickles, to Python or to another program in C++: what `send` takes and `recv`
/// gives there is said at pickle::dumps, and anything else is a TypeError; a file of the program
/// that uses one includes remote.hpp, or gets a RuntimeError.
///
/// @par Processes A connection can be an argument of a Process or of a Pool's task, a result, an
/// item of a Queue and a part of a message. A variable that is passed so is duplicated, and stays
/// open here until it is closed too; std::move gives it away. A receiver sees the end of the stream
/// when *every* copy of the other end is closed. Under fork a child has copies of all ends that its
/// parent had open.
/// @par Signals A send to a closed end raises no SIGPIPE. Before Linux 6.18 a send through a
/// simplex pipe handles the signal for that, if the program has left it at its default. Any other
/// write to a broken pipe ends the process by the signal, as before.
/// @par Threads Any number of threads may use an end. When several *processes* use the same end,
/// messages of up to 64 bytes do not get mixed up. For larger messages, or connections in them, the
/// processes need a Lock.
/// @par Source CPython Lib/multiprocessing/connection.py, Connection
class Connection {
  public:
    /// Takes the other's end over; the other is closed then.
    Connection(Connection&&) noexcept = default;
    /// Closes its own end, if it has one, and takes the other's over.
    Connection& operator=(Connection&& other) noexcept;
    /// Closes.
    ~Connection() { close(); }

    /// Sends an object. A string literal arrives as a std::string, a C array as a std::array, a
    /// braced list as a std::vector. Connections in the object are duplicated; what std::move gives
    /// away is gone here.
    ///
    /// **Blocking**: while the pipe is full. A duplex pipe that nobody reads gets room for one
    /// message more, of 4 MiB at most and as far as the system allows it (net.core.wmem_max).
    /// **Processes**: handles in a message that is never received live until the family ends. So do
    /// the connections in it when it was sent through a simplex pipe.
    /// @throws ValueError when the connection is closed or read-only
    /// @throws std::system_error EPIPE when the other end is closed; for connections in the object
    ///         EMFILE, and ENOBUFS or ETOOMANYREFS when too many are on their way
    template <class T, class Pickling = detail::PicklingOf<detail::SentType<T>>>
    void send(const T& object) {
        send_object<Pickling>(object);
    }
    /// Sends an object that the caller gives away: what it holds is released after the send.
    template <class T, class Pickling = detail::PicklingOf<detail::SentType<T>>>
        requires(!std::is_lvalue_reference_v<T> && !std::is_const_v<T>)
    void send(T&& object) {
        send_object<Pickling>(std::as_const(object));
        if constexpr (!std::is_trivially_destructible_v<T> && std::is_move_constructible_v<T>) {
            [[maybe_unused]] const T consumed(std::move(object));
        }
    }
    /// Sends the items as a `std::vector<T>`.
    template <class T, class Pickling = detail::PicklingOf<std::vector<T>>>
    void send(std::initializer_list<T> items) {
        send_object<Pickling>(std::vector<T>(items));
    }

    /// Receives an object of type T.
    ///
    /// **Blocking**: until a message comes.
    /// @throws EOFError when the other end is closed and nothing is left
    /// @throws TypeError when the message is bytes or of another type; it stays, as the next one
    /// @throws std::system_error ECONNRESET when the other end is closed within a message; EMFILE
    ///         for connections in the message, which then stays
    /// @throws ValueError when the connection is closed or write-only
    /// @throws ProcessError when the message is damaged
    template <class T, class Pickling = detail::PicklingOf<std::remove_cv_t<T>>>
    T recv() {
        using Value = std::remove_cv_t<T>;
        if (state().wire() == detail::Wire::python) [[unlikely]]
            return recv_pickled<Pickling, Value>();
        if constexpr (!picklable<T>) {
            if constexpr (!detail::can_pickle<Pickling>())
                static_cast<void>(sizeof(detail::TravelRefusal<T>));
            throw_only_pickled(detail::type_name<Value>());
        } else {
            static_cast<void>(detail::RememberedType<Value>::known);
            if constexpr (detail::is_plain_array<Value>()) {
                auto large = state().template receive_large_array<Value>(
                    detail::type_fingerprint<Value>(), detail::type_name<Value>());
                if (large) return std::move(*large);
            }
            detail::IncomingMessage message;
            state().receive_object(message, detail::type_fingerprint<Value>(),
                                   detail::type_name<Value>());
            detail::InputArchive archive(message.body(), message.handles());
            archive.carry_descriptors(&message);
            return archive.read<Value>();
        }
    }

    /// Sends bytes as a message: `size` of them (default: to the end), from `offset` on.
    /// @throws ValueError when there are not so many; else as send
    void send_bytes(std::string_view bytes, std::size_t offset = 0,
                    std::optional<std::size_t> size = std::nullopt) {
        send_bytes(std::as_bytes(std::span(bytes)), offset, size);
    }
    /// Sends the bytes of a span, in the same way.
    void send_bytes(std::span<const std::byte> bytes, std::size_t offset = 0,
                    std::optional<std::size_t> size = std::nullopt);
    /// Sends the bytes of a vector, array or span of plain elements, in the same way. `offset` and
    /// `size` are in bytes.
    template <detail::plain_buffer Buffer>
        requires(!std::is_convertible_v<const Buffer&, std::string_view> &&
                 !std::is_convertible_v<const Buffer&, std::span<const std::byte>>)
    void send_bytes(const Buffer& buffer, std::size_t offset = 0,
                    std::optional<std::size_t> size = std::nullopt) {
        send_bytes(std::as_bytes(std::span(std::data(buffer), std::size(buffer))), offset, size);
    }

    /// Receives a message of bytes.
    ///
    /// **Blocking**: until a message comes.
    /// @param maxlength how many bytes it may have
    /// @throws std::system_error EMSGSIZE when it has more. Then a simplex end is closed, and a
    ///         duplex end can only send from then on
    /// @throws TypeError when the message is an object; it stays. Else as recv
    std::string recv_bytes(std::optional<std::size_t> maxlength = std::nullopt) {
        return state().receive_bytes(maxlength);
    }

    /// Receives a message of bytes into a buffer, from its byte `offset` on.
    /// @returns the size of the message in bytes
    /// @throws BufferTooShort when it does not fit; the exception holds the message
    /// @throws ValueError when `offset` is beyond the buffer. Else as recv_bytes
    std::size_t recv_bytes_into(std::span<std::byte> buffer, std::size_t offset = 0);
    /// Receives a message of bytes into anything that is contiguous.
    template <detail::plain_buffer Buffer>
        requires(!std::is_convertible_v<Buffer, std::span<std::byte>>)
    std::size_t recv_bytes_into(Buffer&& buffer, std::size_t offset = 0) {
        const auto elements = std::span(std::data(buffer), std::size(buffer));
        return recv_bytes_into(std::as_writable_bytes(elements), offset);
    }

    /// Returns whether there is something to receive, the end of the stream included.
    ///
    /// **Blocking**: until there is, at most for `timeout`. A signal does not end the wait.
    /// @throws ValueError when the connection is closed or write-only
    bool poll(Timeout timeout = 0);

    /// Returns the descriptor, for poll(2), epoll(7) and the like. The connection goes on owning
    /// it.
    /// @throws ValueError when the connection is closed
    [[nodiscard]] int fileno() const { return state().fileno(); }

    /// @{
    /// Says whether it is closed, and what it can be used for.
    [[nodiscard]] bool closed() const noexcept { return state_ == nullptr || state_->closed(); }
    [[nodiscard]] bool readable() const noexcept { return state_ != nullptr && state_->readable(); }
    [[nodiscard]] bool writable() const noexcept { return state_ != nullptr && state_->writable(); }
    /// @}

    /// Closes this end; a second close does nothing. While another thread is in a call, the
    /// descriptor is closed when that call returns; close does not end the call.
    void close() noexcept {
        if (state_ != nullptr) state_->close();
    }

    /// Returns another Connection on the same end.
    /// @throws ValueError when it is closed, or holds a message that recv has left
    /// @throws std::system_error EMFILE
    [[nodiscard]] Connection duplicate() const;

    /// Makes a connection of a descriptor of a pipe or a stream socket, and takes the descriptor
    /// over. The other end must be a connection of this library, too.
    /// @throws ValueError when it is to be neither readable nor writable
    /// @throws std::system_error EBADF
    /// @par Source CPython Lib/multiprocessing/connection.py, Connection.__init__
    explicit Connection(int handle, bool readable = true, bool writable = true)
        : state_(state_of(handle, readable, writable)) {}

    /// Makes a connection of such a descriptor. It is readable or writable as the descriptor is.
    /// @throws ValueError when the handle is closed
    [[nodiscard]] static Connection from_fd(Handle handle);

    // --- for the library ---

    /// Makes a connection of a descriptor.
    Connection(detail::Descriptor fd, detail::ConnectionMode mode);

    /// Returns the object that wait waits for.
    [[nodiscard]] const std::shared_ptr<detail::ConnectionState>& shared_state() const noexcept {
        return state_;
    }

    /// Writes the connection to a message. The descriptor goes along if the channel can take it;
    /// else it is parked.
    template <class Archive>
    void archive_to(Archive& archive) const {
        const int fd = descriptor_to_give();
        const bool attached = archive.takes_descriptors();
        const auto flag = [](bool set, unsigned bit) { return set ? bit : 0; };
        const auto flags = flag(readable(), 1) | flag(writable(), 2) |
                           flag(state().is_socket(), 4) | flag(attached, 8) |
                           flag(state().wire() == detail::Wire::python, 16);
        archive(static_cast<std::uint8_t>(flags));
        if (attached) {
            archive.write_descriptor(fd);
        } else {
            archive.write_handle(detail::park_descriptor(fd).any());
        }
    }
    /// Reads a connection from a message, as archive_to wrote it.
    static Connection from_archive(detail::InputArchive& archive);

    friend std::string text_of(const Connection& connection);

  private:
    static std::shared_ptr<detail::ConnectionState> state_of(int handle, bool readable,
                                                             bool writable);

    [[noreturn, gnu::cold]] static void throw_closed();

    [[nodiscard]] detail::ConnectionState& state() const {
        if (state_ == nullptr) throw_closed();
        return *state_;
    }
    [[nodiscard]] detail::ConnectionMode mode() const;
    [[nodiscard]] int descriptor_to_give() const;

    template <class Pickling, class T>
    void send_object(const T& object) {
        using Sent = detail::SentType<T>;
        state().check_writable();
        if (state().wire() == detail::Wire::python) [[unlikely]]
            return send_pickled<Pickling, Sent>(object);
        if constexpr (!picklable<Sent>) {
            if constexpr (!detail::can_pickle<Pickling>())
                static_cast<void>(sizeof(detail::TravelRefusal<Sent>));
            throw_only_pickled(detail::type_name<Sent>());
        } else {
            static_cast<void>(detail::RememberedType<Sent>::known);
            detail::Cell cell;
            if constexpr (std::is_same_v<Sent, T> && detail::is_plain_array<Sent>()) {
                return send_array(detail::type_fingerprint<Sent>(),
                                  std::as_bytes(std::span(object)), object.size(), cell);
            }
            // An object that fits the cell is written there at once.
            detail::OutputArchive archive{std::span<std::byte>(cell.content)};
            detail::OutgoingDescriptors descriptors;
            if (state().is_socket()) archive.carry_descriptors(&descriptors);
            if constexpr (std::is_same_v<Sent, std::remove_cv_t<T>> || std::is_bounded_array_v<T>) {
                if constexpr (detail::is_c_string<T>) {
                    archive(std::string(object));
                } else {
                    archive(object);
                }
            } else {
                archive(Sent(object));
            }
            send_archive(detail::type_fingerprint<Sent>(), archive, descriptors, cell);
        }
    }

    template <class Pickling, class Sent, class T>
    void send_pickled(const T& object) {
        if constexpr (!detail::can_pickle<Pickling>()) {
            detail::throw_not_pickled(detail::type_name<Sent>(), "sent",
                                      !std::is_same_v<Pickling, detail::NoPickling>);
        } else if constexpr (std::is_same_v<Sent, std::remove_cv_t<T>>) {
            send_bytes(Pickling::dumps(object));
        } else if constexpr (std::is_bounded_array_v<T> && !detail::is_c_string<T>) {
            send_bytes(Pickling::dumps(detail::sent_array<Sent>(object)));
        } else {
            send_bytes(Pickling::dumps(Sent(object)));
        }
    }
    template <class Pickling, class Value>
    Value recv_pickled() {
        if constexpr (!detail::can_pickle<Pickling>()) {
            detail::throw_not_pickled(detail::type_name<Value>(), "received",
                                      !std::is_same_v<Pickling, detail::NoPickling>);
        } else {
            return state().receive_pickle(
                [](const std::string& message) { return Pickling::loads(message); });
        }
    }
    [[noreturn, gnu::cold]] static void throw_only_pickled(std::string_view type);

    void send_array(std::uint64_t type, std::span<const std::byte> bytes, std::uint64_t count,
                    detail::Cell& cell);

    void send_archive(std::uint64_t type, detail::OutputArchive& archive,
                      const detail::OutgoingDescriptors& descriptors, detail::Cell& cell) {
        if (archive.handles().empty()) [[likely]] {
            return state().send({type, archive.view(), {}, {}, descriptors.numbers()}, cell);
        }
        send_with_handles(type, archive, descriptors, cell);
    }
    void send_with_handles(std::uint64_t type, detail::OutputArchive& archive,
                           const detail::OutgoingDescriptors& descriptors, detail::Cell& cell);

    std::shared_ptr<detail::ConnectionState> state_;
};

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/connection/connection.ipp"
#endif
