// multiprocessing/detail/descriptor.hpp
//
// File descriptors that the library owns, and their numbers. None of them is ever 0, 1 or 2.
// Otherwise, what a program prints to a closed standard output would go into it. Descriptors that
// live for long have high numbers, out of the program's way. Think of a daemon that calls
// closefrom(3) and then opens files: it gets numbers that the library does not take for its own.
// Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <sys/socket.h>  // make_socket_pair takes its constants
#include <unistd.h>

#include <cstddef>
#include <utility>

#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// A file descriptor that this object owns, or none (-1).
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int fd) noexcept : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    ~Descriptor() { reset(); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

    /// Closes the descriptor. The result of close(2) is ignored. On Linux the descriptor is gone
    /// whatever close returns, and none of ours carries data that close could fail to write.
    void reset() noexcept {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }

  private:
    int fd_ = -1;
};

/// The first number after the standard streams.
constexpr int first_free_descriptor = STDERR_FILENO + 1;

/// Notes that the library never closes this descriptor. If its number is free one day, the program
/// has closed it.
void note_lasting_descriptor(int fd) noexcept;

/// Returns whether all these numbers are above those of the standard streams.
bool are_above_standard_streams(const int* numbers, std::size_t count) noexcept;

/// Calls `create`, which opens `count` descriptors at once, until all their numbers are above the
/// standard streams. What it opens at too low a number keeps that number taken until then, and is
/// nothing that matters.
/// @param create fills an array with the numbers; it returns -1 and sets errno when it fails
/// @returns what `create` returns
template <std::size_t count, class Create>
int open_above_standard_streams(int (&numbers)[count], Create create) noexcept {
    Descriptor placeholders[std::size_t{first_free_descriptor} * count];
    for (std::size_t used = 0;;) {
        const int result = create(numbers);
        if (result < 0) return result;
        if (are_above_standard_streams(numbers, count)) return result;
        for (const int number : numbers) placeholders[used++] = Descriptor(number);
    }
}

/// Returns the descriptor that `create` opens. It is empty when `create` fails; errno says why.
/// @param create returns its number, or -1
template <class Create>
Descriptor try_to_open(Create create) noexcept {
    int number[1];
    const auto open_one = [&](int(&result)[1]) { return result[0] = create(); };
    return Descriptor(open_above_standard_streams(number, open_one) < 0 ? -1 : number[0]);
}

/// Returns the descriptor that `create` opens.
/// @param call the name of the system call for the error
/// @throws std::system_error the error of that call, e.g. EMFILE
template <class Create>
Descriptor open_descriptor(const char* call, Create create) {
    Descriptor opened = try_to_open(create);
    if (!opened) throw_system_error(call);
    return opened;
}

/// Keeps the numbers of closed standard streams taken, by something that does no harm, while the
/// code of others opens what the library uses.
class StandardStreamsTaken {
  public:
    StandardStreamsTaken() noexcept;
    StandardStreamsTaken(const StandardStreamsTaken&) = delete;
    StandardStreamsTaken& operator=(const StandardStreamsTaken&) = delete;
    ~StandardStreamsTaken() = default;

  private:
    Descriptor placeholders_[first_free_descriptor];
};

/// Moves a descriptor that is to live for long to a number out of the program's way. If no such
/// number is free, the descriptor stays, or moves at least above the standard streams. Where it
/// moves, it closes on exec afterwards.
/// @returns the descriptor; it has the number of a standard stream if even that was not possible
Descriptor out_of_the_way(Descriptor descriptor) noexcept;

/// Both ends of a pipe. They close on exec.
struct PipeEnds {
    Descriptor read;
    Descriptor write;
};

/// Makes a pipe.
/// @throws std::system_error EMFILE, ENFILE
PipeEnds make_pipe();

/// Two Unix sockets, each the peer of the other. They close on exec.
struct SocketPair {
    Descriptor first;
    Descriptor second;
};

/// Makes two Unix sockets that are connected to each other.
/// @param type SOCK_STREAM or SOCK_DGRAM
/// @throws std::system_error EMFILE, ENFILE
SocketPair make_socket_pair(int type);

/// Returns whether a descriptor is a socket.
[[gnu::cold]] bool is_socket(int fd) noexcept;

/// Takes over a descriptor that the program opened. @throws std::system_error EBADF
[[gnu::cold]] Descriptor checked_descriptor(int fd);

/// Returns a new descriptor for the same open file.
/// @throws std::system_error EMFILE
Descriptor duplicate_descriptor(int fd);

/// Reads the beginning of a small file, such as one of /proc, into `buffer`.
/// @returns the number of bytes read; 0 if the file cannot be opened or is empty
std::size_t read_small_file(const char* path, char* buffer, std::size_t size) noexcept;

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/detail/descriptor.ipp"
#endif
