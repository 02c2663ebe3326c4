// connection/broken_pipe.hpp: SIGPIPE ends no process on account of a Connection, and still ends
// one as it always did.
// SPDX-License-Identifier: MIT
#include "tests/connection/support.hpp"

namespace {

/// Writes to a Connection, and to a raw pipe, whose readers are gone. Its exit status says how far
/// it came.
void write_to_broken_pipes() {
    {
        auto [read, write] = mp::Pipe(false);
        write.send(1);
        read.close();
        if (errno_of([end = &write] { end->send(2); }) != EPIPE) mp::exit(1);
        if (errno_of([end = &write] { end->send_bytes(std::string(100'000, 'x')); }) != EPIPE) {
            mp::exit(2);
        }
    }
    auto [read, write] = mp::detail::make_pipe();
    read.reset();
    (void)!::write(write.get(), "x", 1);
    mp::exit(errno == EPIPE ? 3 : 4);
}

void with_default() {
    ::signal(SIGPIPE, SIG_DFL);
    write_to_broken_pipes();
}
void with_ignored() {
    ::signal(SIGPIPE, SIG_IGN);
    write_to_broken_pipes();
}
void with_handler() {
    ::signal(SIGPIPE, [](int) {});
    write_to_broken_pipes();
}
void with_default_again() {
    ::signal(SIGPIPE, [](int) {});
    auto [read, write] = mp::Pipe(false);
    read.close();
    for (int i = 0; i < 3; ++i) {
        if (errno_of([end = &write] { end->send(1); }) != EPIPE) mp::exit(7);
        ::signal(SIGPIPE, SIG_DFL);
    }
    mp::exit(8);
}
void raise_it() {
    ::signal(SIGPIPE, SIG_DFL);
    auto [read, write] = mp::Pipe(false);
    write.send(1);
    ::kill(::getpid(), SIGPIPE);
    support::sleep_on();
}
void in_a_thread() {
    ::signal(SIGPIPE, SIG_DFL);
    bool failed = false;
    std::thread([&] {
        auto [read, write] = mp::Pipe(false);
        read.close();
        failed = errno_of([end = &write] { end->send(2); }) == EPIPE;
    }).join();
    mp::exit(failed ? 5 : 6);
}

/// @param old_kernel whether to write as where pipes have no flag against the signal
void run(void (*body)(), bool old_kernel) {
    mp::detail::pipes_send_signals = old_kernel;
    body();
}
template <class Method>
int exitcode_of(void (*body)(), bool old_kernel) {
    return Child<Method>(run, body, old_kernel).join();
}

}  // namespace

// Spawn, so that nothing was sent before in the process that counts.
TEST_CASE("A send to a broken pipe is no SIGPIPE, another write still is one",
          "[connection][spawn]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    using Spawn = mp::start_method::spawn;
    const bool old_kernel = GENERATE(false, true);
    REQUIRE(exitcode_of<Spawn>(with_default, old_kernel) == -SIGPIPE);
    REQUIRE(exitcode_of<Spawn>(raise_it, old_kernel) == -SIGPIPE);
    REQUIRE(exitcode_of<Spawn>(in_a_thread, old_kernel) == 5);
}

TEST_CASE("A program may set SIGPIPE to its default at any time", "[connection][spawn]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    const bool old_kernel = GENERATE(false, true);
    REQUIRE(exitcode_of<mp::start_method::spawn>(with_default_again, old_kernel) == 8);
}

TEST_CASE("The program's own disposition for SIGPIPE is left alone", "[connection][spawn]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    using Spawn = mp::start_method::spawn;
    const bool old_kernel = GENERATE(false, true);
    REQUIRE(exitcode_of<Spawn>(with_ignored, old_kernel) == 3);
    REQUIRE(exitcode_of<Spawn>(with_handler, old_kernel) == 3);
}

TEST_CASE("A forked child survives broken pipes as its parent does", "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    auto [read, write] = mp::Pipe(false);
    write.send(1);  // from here on there is the handler
    read.close();
    REQUIRE(errno_of([end = &write] { end->send(2); }) == EPIPE);
    Child<mp::start_method::fork> child([end = &write] {
        if (errno_of([&] { end->send(2); }) != EPIPE) mp::exit(1);
    });
    REQUIRE(child.join() == 0);
}
