// multiprocessing/detail/system.hpp
//
// System calls as C++ wants them: a failure is a std::system_error that names the call, an
// interruption by a signal is not a failure, a descriptor closes itself. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <system_error>
#include <utility>

namespace multiprocessing::detail {

/// Throws the std::system_error of a system call that failed with `error` (default: errno).
[[noreturn]] inline void throw_system_error(const char* call, int error = errno) {
    throw std::system_error(error, std::generic_category(), call);
}

/// Calls `call` again for as long as signals interrupt it, and returns what it returned.
template <class Call>
auto retry_on_eintr(Call call) {
    auto result = call();
    while (result == -1 && errno == EINTR) result = call();
    return result;
}

/// Returns `result` unless it says that the system call `name` failed.
template <class Result>
Result check(Result result, const char* name) {
    if (result == static_cast<Result>(-1)) throw_system_error(name);
    return result;
}

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

    /// Closes the descriptor. The result of close(2) is ignored: on Linux the descriptor is gone
    /// whatever it says, and none of ours carries data that close could fail to write.
    void reset() noexcept {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }

  private:
    int fd_ = -1;
};

/// Both ends of a pipe; they close on exec.
struct PipeEnds {
    Descriptor read;
    Descriptor write;
};

/// @throws std::system_error EMFILE, ENFILE
inline PipeEnds make_pipe(int flags = O_CLOEXEC) {
    int ends[2];
    check(::pipe2(ends, flags), "pipe2");
    return {Descriptor(ends[0]), Descriptor(ends[1])};
}

/// Two Unix sockets, each the other's peer; they close on exec.
struct SocketPair {
    Descriptor first;
    Descriptor second;
};

/// @param type SOCK_STREAM or SOCK_DGRAM
/// @throws std::system_error EMFILE, ENFILE
inline SocketPair make_socket_pair(int type) {
    int ends[2];
    check(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), "socketpair");
    return {Descriptor(ends[0]), Descriptor(ends[1])};
}

/// Reads the beginning of a small file, as those of /proc are, into `buffer`.
/// @returns the number of bytes read; 0 when the file cannot be opened or is empty
inline std::size_t read_small_file(const char* path, char* buffer, std::size_t size) {
    const Descriptor file(retry_on_eintr([&] { return ::open(path, O_RDONLY | O_CLOEXEC); }));
    if (!file) return 0;
    std::size_t filled = 0;
    while (filled < size) {
        const ssize_t got =
            retry_on_eintr([&] { return ::read(file.get(), buffer + filled, size - filled); });
        if (got <= 0) break;  // 0: the end; -1: e.g. the process behind a /proc file has ended
        filled += static_cast<std::size_t>(got);
    }
    return filled;
}

}  // namespace multiprocessing::detail
