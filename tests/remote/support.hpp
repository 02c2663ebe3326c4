// What the tests of remote.hpp share: every Python of the machine, programs of it that run beside
// the test, and peers that do not keep to the protocol.
// SPDX-License-Identifier: MIT
#pragma once

#include <multiprocessing/remote.hpp>

#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/connection/support.hpp"
#include "tests/remote/python.hpp"

namespace support {

/// A program that runs beside the test. It is killed at the end of its scope.
class Program {
  public:
    explicit Program(std::vector<std::string> words) {
        auto [read, write] = mp::detail::make_pipe();
        output_ = std::move(read);
        posix_spawn_file_actions_t actions;
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawn_file_actions_adddup2(&actions, write.get(), STDOUT_FILENO);
        std::vector<char*> argv;
        for (std::string& word : words) argv.push_back(word.data());
        argv.push_back(nullptr);
        const int error = ::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
        ::posix_spawn_file_actions_destroy(&actions);
        if (error != 0) pid_ = 0;
    }
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;
    ~Program() { kill(); }

    [[nodiscard]] pid_t pid() const { return pid_; }

    /// Returns the next line that it prints, without the end of the line; "" at the end.
    std::string line() {
        while (text_.find('\n') == std::string::npos) {
            if (!read_more()) return std::exchange(text_, {});
        }
        const std::size_t end = text_.find('\n');
        std::string first = text_.substr(0, end);
        text_.erase(0, end + 1);
        return first;
    }
    /// Waits for the end. @returns its exit status, or minus the signal
    int join() {
        while (read_more()) {
        }
        if (pid_ == 0) return 127;
        int status = 0;
        mp::detail::retry_on_eintr([&] { return ::waitpid(pid_, &status, 0); });
        pid_ = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    void kill() {
        if (pid_ == 0) return;
        ::kill(pid_, SIGKILL);
        mp::detail::retry_on_eintr([&] { return ::waitpid(pid_, nullptr, 0); });
        pid_ = 0;
    }

  private:
    bool read_more() {
        char part[4096];
        const ssize_t got =
            mp::detail::retry_on_eintr([&] { return ::read(output_.get(), part, sizeof part); });
        if (got > 0) text_.append(part, static_cast<std::size_t>(got));
        return got > 0;
    }

    pid_t pid_ = 0;
    mp::detail::Descriptor output_;
    std::string text_;
};

/// Returns every Python that there is, see python.hpp.
inline const std::vector<std::string>& every_python() {
    if (pythons().empty()) WARN("There is no python3 here: the other side is not tested.");
    return pythons();
}

/// A Python program: `script`, with what each of them needs in front, and its arguments.
class PythonProgram : public Program {
  public:
    PythonProgram(const std::string& python, std::string_view script,
                  const std::vector<std::string>& arguments = {})
        : Program(words(python, script, arguments)) {}

  private:
    static std::vector<std::string> words(const std::string& python, std::string_view script,
                                          const std::vector<std::string>& arguments) {
        const std::string prelude =
            "import os, sys\n"
            "from multiprocessing import AuthenticationError, connection, reduction\n"
            "from multiprocessing.connection import Client, Listener\n"
            "arguments = sys.argv[1:]\n"
            "def say(*what): print(*what, flush=True)\n"
            // Bytes where the name is abstract: the default of 3.9 to 3.9.15, and 3.10 to 3.10.8.
            "def say_address(a): say(*(a if isinstance(a, tuple) else [os.fsdecode(a)]))\n";
        std::vector<std::string> all{python, "-c", prelude + std::string(script)};
        all.insert(all.end(), arguments.begin(), arguments.end());
        return all;
    }
};

/// Returns what say_address() of such a program has printed.
inline mp::connection::Address address_in(const std::string& line) {
    const std::size_t space = line.find(' ');
    if (space == std::string::npos) return line;
    return {line.substr(0, space), std::stoi(line.substr(space))};
}

/// A socket by which a test is a peer of its own making.
class RawPeer {
  public:
    explicit RawPeer(const mp::connection::Address& address)
        : fd_(mp::detail::connect_to(address, mp::detail::Deadline(std::nullopt))) {}
    explicit RawPeer(mp::detail::Descriptor fd) : fd_(std::move(fd)) {}

    /// Sends bytes as they are. @returns whether the other side has taken them
    bool send(std::string_view bytes) {
        return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
               static_cast<ssize_t>(bytes.size());
    }
    bool send_message(std::string_view message) { return send(framed(message)); }
    /// Receives a message; "" at the end of the stream.
    std::string message() {
        std::string header = bytes(4);
        if (header.size() < 4) return {};
        std::size_t size = 0;
        for (const char byte : header) size = size << 8 | static_cast<unsigned char>(byte);
        return bytes(size);
    }
    /// Receives so many bytes; fewer at the end of the stream.
    std::string bytes(std::size_t size) {
        std::string text(size, '\0');
        std::size_t filled = 0;
        while (filled < size) {
            const ssize_t got = ::recv(fd_.get(), text.data() + filled, size - filled, 0);
            if (got <= 0) break;
            filled += static_cast<std::size_t>(got);
        }
        text.resize(filled);
        return text;
    }
    void close() { fd_.reset(); }
    [[nodiscard]] int fileno() const { return fd_.get(); }

    /// Returns a message with its header.
    static std::string framed(std::string_view message) {
        std::string text;
        for (int shift = 24; shift >= 0; shift -= 8) {
            text += static_cast<char>(message.size() >> shift);
        }
        return text.append(message);
    }

  private:
    mp::detail::Descriptor fd_;
};

/// The text of the E that `call()` throws; "" when it throws none.
template <class E, class Call>
std::string text_of_error(Call call) {
    try {
        call();
    } catch (const E& error) {
        return error.what();
    }
    return {};
}

/// Two connected ends that speak CPython's wire.
inline std::pair<mp::Connection, mp::Connection> python_pipe() {
    auto [a, b] = mp::detail::make_socket_pair(SOCK_STREAM);
    return {mp::detail::python_connection(std::move(a)),
            mp::detail::python_connection(std::move(b))};
}

}  // namespace support

using mp::connection::Address;
using mp::connection::Client;
using mp::connection::Listener;
using support::address_in;
using support::every_python;
using support::PythonProgram;
using support::RawPeer;
using support::text_of_error;
using namespace std::string_literals;
