// multiprocessing/connection/connection.ipp
//
// What a Connection does, whatever travels through it: see connection.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/connection/connection.hpp"

#include <fcntl.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "multiprocessing/connection/descriptor_lot.hpp"
#include "multiprocessing/connection/message.hpp"
#include "multiprocessing/connection/state.hpp"
#include "multiprocessing/connection/type_registry.hpp"
#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/pidfd.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/reduction.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {

MULTIPROCESSING_INLINE Connection& Connection::operator=(Connection&& other) noexcept {
    if (this != &other) {
        close();
        state_ = std::move(other.state_);
    }
    return *this;
}

MULTIPROCESSING_INLINE void Connection::send_bytes(std::span<const std::byte> bytes,
                                                   std::size_t offset,
                                                   std::optional<std::size_t> size) {
    if (offset > bytes.size()) throw ValueError("buffer length < offset");
    if (size.value_or(0) > bytes.size() - offset) throw ValueError("buffer length < offset + size");
    detail::Cell cell;
    state().send({0, bytes.subspan(offset, size.value_or(std::dynamic_extent))}, cell);
}

MULTIPROCESSING_INLINE std::size_t Connection::recv_bytes_into(std::span<std::byte> buffer,
                                                               std::size_t offset) {
    if (offset > buffer.size()) throw ValueError("offset too large");
    return state().receive_bytes_into(buffer.subspan(offset));
}

MULTIPROCESSING_INLINE bool Connection::poll(Timeout timeout) {
    state().check_readable();
    if (state().has_message()) return true;
    return detail::poll_readable(state().fileno(), detail::Deadline(timeout));
}

MULTIPROCESSING_INLINE Connection Connection::duplicate() const {
    return Connection(detail::duplicate_descriptor(descriptor_to_give()), mode());
}

MULTIPROCESSING_INLINE Connection::Connection(detail::Descriptor fd, detail::ConnectionMode mode)
    : state_(std::make_shared<detail::ConnectionState>(std::move(fd), mode)) {}

MULTIPROCESSING_INLINE Connection Connection::from_archive(detail::InputArchive& archive) {
    const unsigned flags = archive.read<std::uint8_t>();
    if (flags > 31 || (flags & 3) == 0) detail::throw_damaged("it has no connection here");
    detail::Descriptor fd = (flags & 8) != 0 ? detail::Descriptor(archive.read_descriptor())
                                             : detail::take_parked_descriptor(
                                                   archive.read_handle(), archive.keeps_message());
    const auto wire = (flags & 16) != 0 ? detail::Wire::python : detail::Wire::family;
    return {std::move(fd), {(flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0, wire}};
}

MULTIPROCESSING_INLINE std::string text_of(const Connection& connection) {
    if (connection.closed()) return "<Connection closed>";
    const char* const mode = !connection.writable()   ? " read-only"
                             : !connection.readable() ? " write-only"
                                                      : "";
    return "<Connection fd=" + std::to_string(connection.fileno()) + mode + ">";
}

MULTIPROCESSING_INLINE std::shared_ptr<detail::ConnectionState> Connection::state_of(
    int handle, bool readable, bool writable) {
    if (!readable && !writable) {
        throw ValueError("a connection is readable, or writable, or both");
    }
    detail::Descriptor own = detail::checked_descriptor(handle);
    const detail::ConnectionMode mode{readable, writable, detail::is_socket(own.get())};
    return std::make_shared<detail::ConnectionState>(std::move(own), mode);
}

MULTIPROCESSING_INLINE Connection Connection::from_fd(Handle handle) {
    const int access = detail::checked(::fcntl(handle.fileno(), F_GETFL), "fcntl") & O_ACCMODE;
    return Connection(handle.release(), access != O_WRONLY, access != O_RDONLY);
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void Connection::throw_closed() {
    throw ValueError("handle is closed");
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void Connection::throw_only_pickled(
    std::string_view type) {
    throw TypeError(detail::readable_name(type) +
                    " cannot travel through a pipe, only as a pickle, through a connection of a "
                    "Listener or a Client");
}

MULTIPROCESSING_INLINE detail::ConnectionMode Connection::mode() const {
    return {readable(), writable(), state().is_socket(), state().wire()};
}

MULTIPROCESSING_INLINE int Connection::descriptor_to_give() const {
    const int fd = state().fileno();
    if (state().has_message()) {
        throw ValueError("the connection holds a message that was not received as the type it "
                         "is of: receive it before you pass the connection on");
    }
    return fd;
}

MULTIPROCESSING_INLINE void Connection::send_array(std::uint64_t type,
                                                   std::span<const std::byte> bytes,
                                                   std::uint64_t count, detail::Cell& cell) {
    std::memcpy(cell.content, &count, sizeof(count));
    state().send({type, std::span(cell.content).first(sizeof(count)), bytes}, cell);
}

MULTIPROCESSING_INLINE void Connection::send_with_handles(
    std::uint64_t type, detail::OutputArchive& archive,
    const detail::OutgoingDescriptors& descriptors, detail::Cell& cell) {
    detail::OutgoingHandles handles(archive.handles());
    state().send(
        {type, archive.view(), {}, handles.offsets(), descriptors.numbers(), handles.parked()},
        cell);
    handles.were_sent();
}

}  // namespace multiprocessing
