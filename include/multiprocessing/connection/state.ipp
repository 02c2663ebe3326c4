// multiprocessing/connection/state.ipp
//
// What the ends of a connection do, whatever is sent through it: see state.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/connection/state.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "multiprocessing/connection/byte_stream.hpp"
#include "multiprocessing/connection/frame.hpp"
#include "multiprocessing/connection/message.hpp"
#include "multiprocessing/connection/python_frame.hpp"
#include "multiprocessing/connection/read_array.hpp"
#include "multiprocessing/connection/type_registry.hpp"
#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/shared_heap.hpp"
#include "multiprocessing/reduction/archive/archive.hpp"

namespace multiprocessing::detail {

/// The size in bytes of a message from which on a larger pipe is worth its price.
constexpr std::size_t worth_a_larger_pipe = std::size_t{64} << 10;

MULTIPROCESSING_INLINE ConnectionState::ConnectionState(Descriptor fd, ConnectionMode mode) noexcept
    : fd_(out_of_the_way(std::move(fd)).release()),
      readable_(mode.readable),
      writable_(mode.writable),
      is_socket_(mode.is_socket),
      wire_(mode.wire) {}

MULTIPROCESSING_INLINE void ConnectionState::send(const OutgoingMessage& message, Cell& cell) {
    const Call call(*this, sending_);
    check_writable();
    if (wire_ == Wire::python) return PythonFraming::write(stream(), message.body);
    const std::size_t size = message.body.size() + message.more_body.size();
    if (size >= worth_a_larger_pipe && !is_socket_ && !std::exchange(pipe_is_large_, true)) {
        enlarge_pipe(fd_.load());
    }
    FamilyFraming::write(stream(), message, cell);
}

MULTIPROCESSING_INLINE void ConnectionState::receive_object(IncomingMessage& message,
                                                            std::uint64_t type,
                                                            std::string_view name) {
    const Call call(*this, receiving_);
    const Cell& cell = next_cell_of(type, name);
    take([&] { message.receive(stream(), cell); });
    message.accept(cell.header);
}

MULTIPROCESSING_INLINE std::string ConnectionState::receive_bytes(
    std::optional<std::size_t> longest) {
    const Call call(*this, receiving_);
    if (wire_ == Wire::python) return receive_python(longest);
    const Cell& cell = next_cell();
    require_bytes();
    if (longest && cell.header.size > *longest) throw_too_long();
    return take([&] { return read_body<std::string>(0); });
}

MULTIPROCESSING_INLINE std::size_t ConnectionState::receive_bytes_into(
    std::span<std::byte> buffer) {
    const Call call(*this, receiving_);
    if (wire_ == Wire::python) return receive_python_into(buffer);
    const Cell& cell = next_cell();
    require_bytes();
    const auto size = static_cast<std::size_t>(cell.header.size);
    if (size > buffer.size()) throw BufferTooShort(take([&] { return read_body<std::string>(0); }));
    const auto beginning = cell.beginning();
    if (!beginning.empty()) std::memcpy(buffer.data(), beginning.data(), beginning.size());
    take([&] {
        FamilyFraming::read_content(stream(), buffer.subspan(beginning.size(), cell.rest_size()));
    });
    return size;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void ConnectionState::throw_unusable(const char* why) {
    throw ValueError(why);
}

MULTIPROCESSING_INLINE void ConnectionState::close_if_idle() noexcept {
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

MULTIPROCESSING_INLINE const Cell& ConnectionState::next_cell() {
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

MULTIPROCESSING_INLINE const Cell& ConnectionState::next_cell_of(std::uint64_t type,
                                                                 std::string_view name) {
    const Cell& cell = next_cell();
    if (cell.header.type != type) throw_type_error(name);
    return cell;
}

MULTIPROCESSING_INLINE void ConnectionState::require_own_message() {
    if (cell_.header.handles == 0 || message_depth_ == fork_depth()) return;
    lose_read_side();
    throw ProcessError("the connection holds a message with handles that was left there before "
                       "this process was forked: only its parent can receive it");
}

MULTIPROCESSING_INLINE void ConnectionState::require_array(std::size_t item_size) const {
    std::uint64_t count = 0;
    std::memcpy(&count, cell_.content, sizeof(count));
    const std::uint64_t size = cell_.header.size - sizeof(count);
    if (cell_.header.handles != 0 || cell_.header.attached != 0 || size % item_size != 0 ||
        size / item_size != count) {
        throw_damaged("it tells another number of items than it holds");
    }
}

MULTIPROCESSING_INLINE void ConnectionState::require_bytes() const {
    if (cell_.header.type == 0) return;
    const std::string name = name_of_fingerprint(cell_.header.type);
    throw TypeError("the message is not bytes but an object" +
                    (name.empty() ? std::string() : " of type " + name) + ": it stays, for recv");
}

MULTIPROCESSING_INLINE std::size_t ConnectionState::next_python_size() {
    check_readable();
    const auto size = take_python([&] { return PythonFraming::read_header(stream(), waiting_); });
    if (!size) throw EOFError("the other end of the connection is closed");
    return static_cast<std::size_t>(*size);
}

MULTIPROCESSING_INLINE std::string ConnectionState::receive_python(
    std::optional<std::size_t> longest) {
    if (has_message()) {
        check_readable();
        if (longest && python_message_.size() > *longest) throw_too_long();
        has_message_.store(false, std::memory_order_relaxed);
        return std::exchange(python_message_, {});
    }
    const std::size_t size = next_python_size();
    if (longest && size > *longest) throw_too_long();
    return take_python([&] { return read_array<std::string>(stream(), size); });
}

MULTIPROCESSING_INLINE std::size_t ConnectionState::receive_python_into(
    std::span<std::byte> buffer) {
    if (has_message()) {
        const std::string message = receive_python(std::nullopt);
        if (message.size() > buffer.size()) throw BufferTooShort(message);
        if (!message.empty()) std::memcpy(buffer.data(), message.data(), message.size());
        return message.size();
    }
    const std::size_t size = next_python_size();
    if (size > buffer.size()) {
        throw BufferTooShort(take_python([&] { return read_array<std::string>(stream(), size); }));
    }
    take_python([&] { read_rest(stream(), buffer.first(size)); });
    return size;
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void ConnectionState::throw_too_long() {
    lose_read_side();
    throw std::system_error(EMSGSIZE, std::generic_category(), "bad message length");
}

MULTIPROCESSING_INLINE void ConnectionState::throw_type_error(std::string_view wanted) const {
    const std::string asked = "recv of " + readable_name(wanted) + ": the message ";
    if (cell_.header.type == 0) throw TypeError(asked + "is bytes: it stays, for recv_bytes");
    const std::string name = name_of_fingerprint(cell_.header.type);
    throw TypeError(asked + "is an object of " + (name.empty() ? "another type" : "type " + name) +
                    ": it stays, for recv of that type");
}

MULTIPROCESSING_INLINE void ConnectionState::lose_read_side() noexcept {
    has_message_.store(false);
    readable_.store(false);
    if (!writable_) close();
}

}  // namespace multiprocessing::detail
