// multiprocessing/connection/handle.hpp
//
// Handle: an open descriptor that travels to another process, such as a socket that one process
// accepts and another serves. Mirrors CPython Lib/multiprocessing/reduction.py, send_handle,
// recv_handle and DupFd. Floor 4. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "multiprocessing/connection/descriptor_lot.hpp"
#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing {

/// An open file descriptor that can be sent. The object owns it.
///
///     queue.put(mp::Handle(::accept(listener, nullptr, nullptr)));
///     mp::Handle client = queue.get();   ::write(client.fileno(), "hello", 5);
///
/// @par Processes A handle can be an argument of a Process or of a Pool's task, a result, an item
/// of a queue, and a part of a message through a Pipe. A variable that is passed so is duplicated,
/// and stays open here; std::move gives it away. The receiver's descriptor has another number.
/// @par Source CPython Lib/multiprocessing/reduction.py, DupFd
class Handle {
  public:
    /// Makes a handle that is closed.
    Handle() = default;
    /// Takes a descriptor over, and closes it at the end. @throws std::system_error EBADF
    explicit Handle(int fd);
    /// Makes another descriptor of the same file, or a handle that is closed of one that is.
    /// @throws std::system_error EMFILE
    Handle(const Handle& other) : Handle(other.closed() ? Handle() : other.duplicate()) {}
    /// Takes the descriptor over; the other handle is closed.
    Handle(Handle&&) noexcept = default;
    /// Closes its own descriptor, and is a copy then. @throws std::system_error EMFILE
    Handle& operator=(const Handle& other) { return *this = Handle(other); }
    /// Closes its own descriptor, and takes the other one over.
    Handle& operator=(Handle&&) noexcept = default;
    ~Handle() = default;

    /// Returns another descriptor of the same file. @throws ValueError when it is closed
    /// @throws std::system_error EMFILE
    [[nodiscard]] Handle duplicate() const;

    /// Returns the descriptor. This object goes on owning it. @throws ValueError when it is closed
    [[nodiscard]] int fileno() const;
    /// Gives the descriptor away: the caller closes it. @throws ValueError when it is closed
    [[nodiscard]] int detach();
    /// Does what detach does.
    [[nodiscard]] int release() { return detach(); }
    /// Closes the descriptor.
    void close() noexcept { fd_.reset(); }
    /// Returns whether it has none.
    [[nodiscard]] bool closed() const noexcept { return !fd_; }

    /// Writes the handle to a message. The descriptor goes along if the channel can take it; else
    /// it is parked. For the library.
    template <class Archive>
    void archive_to(Archive& archive) const {
        const bool attached = !closed() && archive.takes_descriptors();
        archive(static_cast<std::uint8_t>(closed() ? 0 : attached ? 2 : 1));
        if (attached) {
            archive.write_descriptor(fd_.get());
        } else if (!closed()) {
            archive.write_handle(detail::park_descriptor(fd_.get()).any());
        }
    }
    /// Reads a handle from a message, as archive_to wrote it. For the library.
    static Handle from_archive(detail::InputArchive& archive);

    friend std::string text_of(const Handle& handle);

  private:
    detail::Descriptor fd_;
};

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/connection/handle.ipp"
#endif
