// multiprocessing/connection/state.hpp
//
// What a Connection consists of: the descriptor, what may be done with it, a mutex for each
// direction, and the beginning of a message that was looked at but not taken. Floor 4.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "multiprocessing/connection/frame.hpp"
#include "multiprocessing/connection/message.hpp"
#include "multiprocessing/connection/python_frame.hpp"
#include "multiprocessing/connection/read_array.hpp"
#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/local_mutex.hpp"

namespace multiprocessing::detail {

/// What goes through a connection.
enum class Wire : bool {
    family,  // objects as the processes of a family archive them
    python   // bytes, or pickles, in CPython's framing
};

/// What a connection can do.
struct ConnectionMode {
    bool readable;
    bool writable;
    bool is_socket;
    Wire wire = Wire::family;
};

/// The object behind a Connection. It does not move.
class ConnectionState {
  public:
    ConnectionState(Descriptor fd, ConnectionMode mode) noexcept;
    ConnectionState(const ConnectionState&) = delete;
    ConnectionState& operator=(const ConnectionState&) = delete;
    ~ConnectionState() { close(); }

    [[nodiscard]] bool closed() const noexcept { return closed_.load(); }
    [[nodiscard]] bool readable() const noexcept { return readable_.load(); }
    [[nodiscard]] bool writable() const noexcept { return writable_; }
    [[nodiscard]] bool is_socket() const noexcept { return is_socket_; }
    [[nodiscard]] Wire wire() const noexcept { return wire_; }
    /// Returns whether a message was read, or its beginning, and the message not taken yet.
    [[nodiscard]] bool has_message() const noexcept { return has_message_.load(); }

    void check_open() const {
        if (closed()) throw_unusable("handle is closed");
    }
    void check_readable() const {
        check_open();
        if (!readable()) throw_unusable("connection is write-only");
    }
    void check_writable() const {
        check_open();
        if (!writable()) throw_unusable("connection is read-only");
    }
    [[nodiscard]] int fileno() const {
        check_open();
        return fd_.load();
    }

    /// Closes the descriptor; while another thread is in a call, when that call returns.
    void close() noexcept {
        closed_.store(true);
        close_if_idle();
    }

    /// Sends a message. When the call succeeds, the message's own count of each handle goes with
    /// it.
    void send(const OutgoingMessage& message, Cell& cell);

    /// Receives an object of the type with this fingerprint. @throws TypeError; then it stays
    void receive_object(IncomingMessage& message, std::uint64_t type, std::string_view name);

    /// Receives an object, as receive_object does, that is archived as the number of its elements
    /// and their bytes. It takes only an object that does not fit the cell, so that the rest of the
    /// bytes is copied once. @returns nothing when the object fits
    template <class Array>
    std::optional<Array> receive_large_array(std::uint64_t type, std::string_view name) {
        const Call call(*this, receiving_);
        const Cell& cell = next_cell_of(type, name);
        if (cell.rest_size() == 0) return std::nullopt;
        return take([&]() -> std::optional<Array> {
            require_array(sizeof(typename Array::value_type));
            return read_body<Array>(sizeof(std::uint64_t));
        });
    }

    std::string receive_bytes(std::optional<std::size_t> longest);
    std::size_t receive_bytes_into(std::span<std::byte> buffer);

    /// Receives a message of CPython's wire, and returns what `read(message)` makes of it. When
    /// that is a TypeError, the message stays.
    template <class Read>
    auto receive_pickle(Read read) {
        const Call call(*this, receiving_);
        std::string message = receive_python(std::nullopt);
        try {
            return read(message);
        } catch (const TypeError&) {
            python_message_ = std::move(message);
            has_message_.store(true, std::memory_order_relaxed);
            throw;
        }
    }

  private:
    /// A call that uses the descriptor.
    class Call {
      public:
        Call(ConnectionState& state, LocalMutex& mutex) : state_(state), mutex_(mutex) {
            state.check_open();  // before the mutex: a call that holds it may take long
            mutex_.lock();
        }
        Call(const Call&) = delete;
        Call& operator=(const Call&) = delete;
        ~Call() {
            mutex_.unlock();
            if (state_.closed_.load()) [[unlikely]]
                state_.close_if_idle();
        }

      private:
        ConnectionState& state_;
        LocalMutex& mutex_;
    };

    [[noreturn, gnu::cold]] static void throw_unusable(const char* why);

    [[nodiscard]] ByteStream stream() const noexcept { return {fd_.load(), is_socket_}; }

    /// Closes the descriptor unless a call uses it. Then that call closes it at its end: a call
    /// that locks after `closed_` was set finds it set, and one that locked before looks at it
    /// after.
    void close_if_idle() noexcept;

    /// Returns the beginning of the next message. @throws EOFError
    const Cell& next_cell();

    /// Returns the beginning of the next message, which must be an object of this type.
    /// @throws EOFError @throws TypeError; then the message stays
    const Cell& next_cell_of(std::uint64_t type, std::string_view name);

    /// Refuses a message with handles that was left before a fork: it is there twice, but its
    /// handles are counted once. @throws ProcessError
    void require_own_message();

    /// Checks that the next message is an array, as it says. @param item_size in bytes
    /// @throws ProcessError
    void require_array(std::size_t item_size) const;

    /// Runs `read`. After it the message is no longer the next one, unless nothing was read.
    template <class Read>
    auto take(Read read) -> decltype(read()) {
        struct Taken {
            ConnectionState& state;
            bool keep = false;
            ~Taken() {
                if (!keep) state.has_message_.store(false, std::memory_order_relaxed);
            }
        } taken{*this};
        try {
            return read();
        } catch (const std::bad_alloc&) {
            taken.keep = true;
            throw;
        } catch (const std::system_error& error) {
            taken.keep = error.code() == std::errc::too_many_files_open ||
                         error.code() == std::errc::too_many_files_open_in_system;
            throw;
        } catch (const ProcessError&) {
            lose_read_side();  // where the next message begins cannot be known
            throw;
        }
    }

    /// Reads the body, from its byte `prefix` on, straight into a string or vector.
    template <class Array>
    Array read_body(std::size_t prefix) {
        const std::size_t size = static_cast<std::size_t>(cell_.header.size) - prefix;
        return read_array<Array>(stream(), size / sizeof(typename Array::value_type),
                                 cell_.beginning().subspan(prefix));
    }

    void require_bytes() const;

    /// Reads the header of the next message of CPython's wire. @returns the size of its body
    /// @throws EOFError
    std::size_t next_python_size();

    /// Receives a message of CPython's wire, the one that has stayed first.
    std::string receive_python(std::optional<std::size_t> longest);

    /// Receives a message of CPython's wire straight into a buffer, where it fits.
    std::size_t receive_python_into(std::span<std::byte> buffer);

    /// Runs `read`, which takes the rest of a message of CPython's wire. When it fails, where the
    /// next message begins cannot be known.
    template <class Read>
    auto take_python(Read read) -> decltype(read()) {
        try {
            return read();
        } catch (...) {
            lose_read_side();
            throw;
        }
    }

    [[noreturn]] void throw_too_long();

    [[noreturn]] void throw_type_error(std::string_view wanted) const;

    /// Gives up reading, after bytes that cannot be read. A simplex end is of no use any more; a
    /// duplex one can still send.
    void lose_read_side() noexcept;

    std::atomic<int> fd_;
    std::atomic<bool> closed_{false};
    std::atomic<bool> readable_;
    const bool writable_;
    const bool is_socket_;
    const Wire wire_;
    LocalMutex sending_;
    bool pipe_is_large_ = false;  // guarded by sending_
    LocalMutex receiving_;
    std::atomic<bool> has_message_{false};
    std::uint32_t message_depth_ = 0;  // the fork depth of the process that read it
    Cell cell_;                        // the beginning of the next message, if has_message_
    std::string python_message_;       // the same for CPython's wire: all of it
    SpinBudget waiting_;               // for the next message of CPython's wire
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/connection/state.ipp"
#endif
