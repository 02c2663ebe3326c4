// What the tests of shared_memory share: the check that a case leaves no name and no descriptor,
// and programs run from a test. SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <multiprocessing/pool.hpp>
#include <multiprocessing/shared_memory.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "tests/synchronize/support.hpp"

using mp::shared_memory::ShareableItem;
using mp::shared_memory::ShareableList;
using mp::shared_memory::SharedMemory;
using ListName = mp::shared_memory::ShareableListOptions;
using support::Watchdog;

namespace support {

/// Checks that a case leaves no name of its own and no descriptor behind. Other programs of the
/// machine may make blocks meanwhile, so only names that are in use here count: `made`.
class NothingLeft {
  public:
    ~NothingLeft() {
        for (const std::string& name : made_) {
            const bool is_left = ::shm_unlink(("/" + name).c_str()) == 0;
            if (is_left) ADD_FAILURE(name + " was left behind");
        }
        CHECK(descriptors() == descriptors_);
    }
    NothingLeft() = default;
    NothingLeft(const NothingLeft&) = delete;
    NothingLeft& operator=(const NothingLeft&) = delete;

    const std::string& made(const std::string& name) { return made_.emplace_back(name); }

  private:
    static void ADD_FAILURE(const std::string& text) { FAIL_CHECK(text); }

    std::vector<std::string> made_;
    std::set<std::string> descriptors_ = descriptors();
};

/// Whether there is a block of this name.
inline bool is_there(const std::string& name) {
    return ::access(("/dev/shm/" + name).c_str(), F_OK) == 0;
}

/// The errno with which `call` failed; 0 when it did not.
template <class Call>
int error_of(Call call) {
    try {
        call();
    } catch (const std::system_error& error) {
        return error.code().value();
    }
    return 0;
}

/// A name that no other process has.
inline std::string name_of(const std::string& stem) {
    static int number = 0;
    return stem + "_" + std::to_string(::getpid()) + "_" + std::to_string(++number);
}

struct Outcome {
    int status;  // as waitpid gives it
    std::string output;
};

/// Runs a program to its end. @returns its status, and its standard output
inline Outcome run(std::vector<std::string> words, std::vector<std::string> environment = {}) {
    mp_detail::PipeEnds pipe = mp_detail::make_pipe();
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, pipe.write.get(), STDOUT_FILENO);
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    std::vector<char*> variables;
    for (std::string& variable : environment) variables.push_back(variable.data());
    for (char** known = environ; *known != nullptr; ++known) variables.push_back(*known);
    variables.push_back(nullptr);
    pid_t pid = 0;
    const int error =
        ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), variables.data());
    ::posix_spawn_file_actions_destroy(&actions);
    REQUIRE(error == 0);
    pipe.write.reset();
    Outcome outcome{};
    char part[4096];
    while (const ssize_t got = mp_detail::retry_on_eintr(
               [&] { return ::read(pipe.read.get(), part, sizeof part); })) {
        if (got < 0) break;
        outcome.output.append(part, static_cast<std::size_t>(got));
    }
    mp_detail::retry_on_eintr([&] { return ::waitpid(pid, &outcome.status, 0); });
    return outcome;
}

/// Runs a Python script, which must end well. Its resource tracker would unlink, when the script
/// ends, what the script only attached to (gh-82300): so it is told nothing.
/// @returns its standard output without the last newline
inline std::string python(std::string_view script, const std::vector<std::string>& arguments = {}) {
    const std::string prelude =
        "import sys\n"
        "from multiprocessing import resource_tracker\n"
        "resource_tracker.register = resource_tracker.unregister = lambda *_: None\n"
        "from multiprocessing.shared_memory import SharedMemory, ShareableList\n"
        "sys.stdout.reconfigure(encoding='utf-8')\n";
    std::vector<std::string> words{"python3", "-c", prelude + std::string(script)};
    words.insert(words.end(), arguments.begin(), arguments.end());
    Outcome outcome = run(words);
    INFO(script);
    REQUIRE(outcome.status == 0);
    while (outcome.output.ends_with('\n')) outcome.output.pop_back();
    return outcome.output;
}

inline std::vector<std::byte> bytes_of(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

/// The bytes of a block in hexadecimal digits.
inline std::string hex(std::span<const std::byte> bytes) {
    std::string text;
    for (const std::byte byte : bytes) {
        text += "0123456789abcdef"[std::to_integer<unsigned>(byte) >> 4];
        text += "0123456789abcdef"[std::to_integer<unsigned>(byte) & 15];
    }
    return text;
}

inline int zero() { return 0; }

/// Opens the descriptors that a process with children keeps: the family's heap and the like.
template <class Method>
void warm_up() {
    Child<Method> child(zero);
    child.join();
    mp::BasicPool<Method>(1).apply(zero);
}

/// Runs `body` in a forked child. @returns its exit status
template <class Body>
int in_fork(Body body) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        int status = 99;
        try {
            status = body();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "in the child: %s\n", error.what());
        }
        ::_exit(status);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace support

using support::bytes_of;
using support::error_of;
using support::hex;
using support::in_fork;
using support::is_there;
using support::name_of;
using support::NothingLeft;
using support::python;
using support::warm_up;
