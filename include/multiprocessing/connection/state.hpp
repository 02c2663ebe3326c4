// multiprocessing/connection/state.hpp
//
// What a Connection consists of: the descriptor, what may be done with it, a mutex for each
// direction, and the beginning of the message that was looked at but not taken. Floor 4.
// SPDX-License-Identifier: MIT
#pragma once

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include "multiprocessing/connection/frame.hpp"
#include "multiprocessing/connection/message.hpp"
#include "multiprocessing/connection/type_registry.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/local_mutex.hpp"
#include "multiprocessing/reduction/archive.hpp"

namespace multiprocessing::detail {

/// What a connection can do.
struct ConnectionMode {
    bool readable;
    bool writable;
    bool is_socket;
};

/// The object behind a Connection, at a fixed place.
class ConnectionState {
  public:
    ConnectionState(Descriptor fd, ConnectionMode mode) noexcept
        : fd_(fd.release()),
          readable_(mode.readable),
          writable_(mode.writable),
          is_socket_(mode.is_socket) {}
    ConnectionState(const ConnectionState&) = delete;
    ConnectionState& operator=(const ConnectionState&) = delete;
    ~ConnectionState() { close(); }

    [[nodiscard]] bool closed() const noexcept { return closed_.load(); }
    [[nodiscard]] bool readable() const noexcept { return readable_.load(); }
    [[nodiscard]] bool writable() const noexcept { return writable_; }
    [[nodiscard]] bool is_socket() const noexcept { return is_socket_; }
    /// Returns whether the beginning of a message was read that nobody has taken yet.
    [[nodiscard]] bool has_message() const noexcept { return has_message_.load(); }

    void check_open() const {
        if (closed()) throw ValueError("handle is closed");
    }
    void check_readable() const {
        check_open();
        if (!readable()) throw ValueError("connection is write-only");
    }
    void check_writable() const {
        check_open();
        if (!writable()) throw ValueError("connection is read-only");
    }
    [[nodiscard]] int fileno() const {
        check_open();
        return fd_.load();
    }

    /// Closes the descriptor; if another thread is in a call, when that returns.
    void close() noexcept {
        closed_.store(true);
        close_if_idle();
    }

    /// Sends a message; its own count of each handle goes with it when the call succeeds.
    void send(const OutgoingMessage& message, Cell& cell) {
        const Call call(*this, sending_);
        check_writable();
        const std::size_t size = message.body.size() + message.more_body.size();
        if (size >= worth_a_larger_pipe && !is_socket_ && !std::exchange(pipe_is_large_, true)) {
            enlarge_pipe(fd_.load());
        }
        FamilyFraming::write(stream(), message, cell);
    }

    /// Receives an object of the type with this fingerprint. @throws TypeError; then it stays
    void receive_object(IncomingMessage& message, std::uint64_t type, std::string_view name) {
        const Call call(*this, receiving_);
        const Cell& cell = next_cell();
        if (cell.header.type != type) throw_type_error(name);
        take([&] { message.receive(stream(), cell); });
        message.accept(cell.header);
    }

    /// As receive_object, for one that is archived as the number of its elements and their bytes.
    /// Only one that does not fit the cell is received, so that the rest of its bytes are copied
    /// once. @returns nothing when it fits
    template <class Array>
    std::optional<Array> receive_large_array(std::uint64_t type, std::string_view name) {
        const Call call(*this, receiving_);
        const Cell& cell = next_cell();
        if (cell.header.type != type) throw_type_error(name);
        if (cell.rest_size() == 0) return std::nullopt;
        return take([&]() -> std::optional<Array> {
            std::uint64_t count = 0;
            std::memcpy(&count, cell.content, sizeof(count));
            const std::uint64_t size = cell.header.size - sizeof(count);
            if (cell.header.handles != 0 || cell.header.attached != 0 ||
                size % sizeof(typename Array::value_type) != 0 ||
                size / sizeof(typename Array::value_type) != count) {
                throw_damaged("it tells another number of items than it holds");
            }
            return read_array<Array>(sizeof(count));
        });
    }

    std::string receive_bytes(std::optional<std::size_t> longest) {
        const Call call(*this, receiving_);
        const Cell& cell = next_cell();
        require_bytes();
        if (longest && cell.header.size > *longest) {
            lose_read_side();
            throw std::system_error(EMSGSIZE, std::generic_category(), "bad message length");
        }
        return take([&] { return read_array<std::string>(0); });
    }

    std::size_t receive_bytes_into(std::span<std::byte> buffer) {
        const Call call(*this, receiving_);
        const Cell& cell = next_cell();
        require_bytes();
        const auto size = static_cast<std::size_t>(cell.header.size);
        if (size > buffer.size())
            throw BufferTooShort(take([&] { return read_array<std::string>(0); }));
        const auto beginning = cell.beginning();
        if (!beginning.empty()) std::memcpy(buffer.data(), beginning.data(), beginning.size());
        take([&] {
            FamilyFraming::read_content(stream(),
                                        buffer.subspan(beginning.size(), cell.rest_size()));
        });
        return size;
    }

  private:
    static constexpr std::size_t worth_a_larger_pipe = std::size_t{64} << 10;

    /// A call that uses the descriptor.
    class Call {
      public:
        Call(ConnectionState& state, LocalMutex& mutex) : state_(state), mutex_(mutex) {
            state.check_open();  // not behind a call that may take long
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

    [[nodiscard]] ByteStream stream() const noexcept { return {fd_.load(), is_socket_}; }

    /// Closes the descriptor unless a call uses it, which then does it at its end: whoever locks
    /// after `closed_` was set finds it so, and who locked before looks at it after.
    void close_if_idle() noexcept {
        for (LocalMutex* busy = nullptr; busy == nullptr || !busy->is_locked();) {
            if (!sending_.try_lock()) {
                busy = &sending_;
                continue;
            }
            if (receiving_.try_lock()) {
                Descriptor(fd_.exchange(-1)).reset();
                receiving_.unlock();
                sending_.unlock();
                return;
            }
            sending_.unlock();
            busy = &receiving_;
        }
    }

    /// Returns the beginning of the next message. @throws EOFError
    const Cell& next_cell() {
        check_readable();
        if (has_message()) {
            require_own_message();
            return cell_;
        }
        try {
            if (!FamilyFraming::read_cell(stream(), cell_)) {
                throw EOFError("the other end of the connection is closed");
            }
        } catch (const ProcessError&) {
            lose_read_side();  // where the next message begins cannot be known
            throw;
        }
        message_depth_ = fork_depth();
        has_message_.store(true, std::memory_order_relaxed);
        return cell_;
    }

    /// A message that was left before a fork is there twice; its handles are counted once.
    void require_own_message() {
        if (cell_.header.handles == 0 || message_depth_ == fork_depth()) return;
        lose_read_side();
        throw ProcessError("the connection holds a message with handles that was left there before "
                           "this process was forked: only its parent can receive it");
    }

    /// Runs `read`, after which the message is no longer the next one, unless nothing was read.
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

    /// Reads the body, from its byte `prefix` on, straight into a string or vector. Memory is taken
    /// at once, before anything is read, but touched as the bytes arrive.
    template <class Array>
    Array read_array(std::size_t prefix) {
        constexpr std::size_t item_size = sizeof(typename Array::value_type);
        // Zeroed by resize, a step is still in the nearest cache when it is overwritten.
        constexpr std::size_t step = (64 << 10) / item_size + 1;
        const std::size_t count =
            (static_cast<std::size_t>(cell_.header.size) - prefix) / item_size;
        const auto beginning = cell_.beginning().subspan(prefix);
        Array array;
        if (count > array.max_size()) throw std::bad_alloc();
        array.reserve(count);
        array.resize(std::min(count, beginning.size() / item_size + step));
        if (!beginning.empty()) std::memcpy(array.data(), beginning.data(), beginning.size());
        for (std::size_t filled = beginning.size();;) {
            const auto bytes = std::as_writable_bytes(std::span(array));
            FamilyFraming::read_content(stream(), bytes.subspan(filled));
            if (array.size() == count) return array;
            filled = bytes.size();
            array.resize(std::min(count, array.size() + step));
        }
    }

    void require_bytes() const {
        if (cell_.header.type == 0) return;
        const std::string name = name_of_fingerprint(cell_.header.type);
        throw TypeError("the message is not bytes but an object" +
                        (name.empty() ? std::string() : " of type " + name) +
                        ": it stays, for recv");
    }

    [[noreturn]] void throw_type_error(std::string_view wanted) const {
        const std::string asked = "recv of " + readable_name(wanted) + ": the message ";
        if (cell_.header.type == 0) throw TypeError(asked + "is bytes: it stays, for recv_bytes");
        const std::string name = name_of_fingerprint(cell_.header.type);
        throw TypeError(asked + "is an object of " +
                        (name.empty() ? "another type" : "type " + name) +
                        ": it stays, for recv of that type");
    }

    /// After what cannot be read: a simplex end is of no use any more, a duplex one can still send.
    void lose_read_side() noexcept {
        has_message_.store(false);
        readable_.store(false);
        if (!writable_) close();
    }

    std::atomic<int> fd_;
    std::atomic<bool> closed_{false};
    std::atomic<bool> readable_;
    const bool writable_;
    const bool is_socket_;
    LocalMutex sending_;
    bool pipe_is_large_ = false;  // guarded by sending_
    LocalMutex receiving_;
    std::atomic<bool> has_message_{false};
    std::uint32_t message_depth_ = 0;  // the fork depth of the process that read it
    Cell cell_;                        // the beginning of the next message, if has_message_
};

}  // namespace multiprocessing::detail
