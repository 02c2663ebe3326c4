// What the tests of pools share: tasks, and the check that a case leaves nothing behind.
// SPDX-License-Identifier: MIT
#pragma once

#include <multiprocessing/pool.hpp>
#include <multiprocessing/process/lifeline.hpp>
#include <multiprocessing/start_method/fork_server/state.hpp>

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.hpp"
#include "tests/names_left.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using support::in_heap;
using support::InHeap;

#define START_METHODS mp::start_method::fork, mp::start_method::spawn, mp::start_method::forkserver

namespace support {

/// Ends a case that hangs, and checks at its end that no child, descriptor or name is left.
class Tidy {
  public:
    /// @param times how many times the usual limit the case may take
    explicit Tidy(unsigned times = 1) : watchdog_((sanitized ? 240u : 120u) * times) {
        // What the library opens once and keeps.
        (void)mp::detail::heap();
        mp::detail::lifeline();
        mp::detail::open_null_device();
        descriptors_ = descriptors();
        shm_ = names_in("/dev/shm");
    }
    Tidy(const Tidy&) = delete;
    Tidy& operator=(const Tidy&) = delete;
    ~Tidy() {
        CHECK(eventually([] { return !has_children(); }));
        CHECK(eventually([this] { return descriptors() == descriptors_; }));
        CHECK(no_name_stays(shm_));
    }

  private:
    Watchdog watchdog_;
    std::set<std::string> descriptors_;
    std::set<std::string> shm_;
};

/// Waits until the heap takes so little memory. The pages of large messages rest for a moment.
inline bool heap_shrinks_to(std::size_t bytes) {
    return eventually([bytes] { return mp::detail::heap().segment().memory() <= bytes; });
}

/// How many fork servers run: one, when it was needed.
inline int fork_servers() {
    const auto id = mp::detail::Family::unpack(mp::detail::fork_server_state().server.load());
    return id && mp::detail::heap().family().is_alive(id) ? 1 : 0;
}

/// Kills a random child every now and then, from a thread, until the end of its scope.
class RandomKiller {
  public:
    /// @param most after so many kills it stops, so that on a slow machine, where a worker takes
    ///        longer to start than it lives, the work comes to an end
    RandomKiller(unsigned microseconds, int most, int& kills)
        : thread_([this, microseconds, most, &kills] {
              Random random(3);
              while (!done_ && kills < most) {
                  ::usleep(microseconds);
                  const auto active = mp::active_children();
                  if (active.empty()) continue;
                  active[random() % active.size()].kill();
                  ++kills;
              }
          }) {}
    ~RandomKiller() {
        done_ = true;
        thread_.join();
    }

  private:
    std::atomic<bool> done_{false};
    std::thread thread_;
};

}  // namespace support

using support::Tidy;

struct Point {
    int x;
    std::string label;
    friend bool operator==(const Point&, const Point&) = default;
};

struct Counters {
    std::atomic<int> of[100];
};

inline int square(int x) { return x * x; }  // of numbers up to 46,340
inline int negate(int x) { return -x; }
inline int multiply(int a, int b) { return a * b; }
inline std::string describe(const std::string& text, int number) {
    return text + std::to_string(number);
}
inline Point mirror(Point point) { return {-point.x, point.label + "'"}; }
inline bool is_even(long n) { return n % 2 == 0; }
inline void count(std::uint64_t counter) { in_heap<std::atomic<int>>(counter).fetch_add(1); }
inline pid_t worker_pid(int) { return ::getpid(); }
inline pid_t worker_pid_slowly(int) {
    ::usleep(2'000);
    return ::getpid();
}
inline int sleep_for_seconds(int seconds) {
    ::sleep(static_cast<unsigned>(seconds));
    return seconds;
}
inline int block_and_sleep(int seconds) {
    sigset_t all;
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    for (;;) ::sleep(static_cast<unsigned>(seconds));
}
inline int stop_itself(int) { return ::raise(SIGSTOP); }
inline int fail_at_odd(int x) {
    if (x % 2 != 0) throw std::out_of_range("odd: " + std::to_string(x));
    return x;
}

/// Where tasks are held back until it is opened.
struct GateWords {
    std::atomic<std::uint32_t> open;
    std::atomic<int> arrived;
};
inline int pass_gate(std::uint64_t gate, int x) {
    auto& words = in_heap<GateWords>(gate);
    ++words.arrived;
    while (words.open.load() == 0) mp::detail::futex_wait(words.open, 0, nullptr);
    return x;
}
class Gate {
  public:
    [[nodiscard]] auto task() const { return mp::partial(pass_gate, offset()); }
    [[nodiscard]] std::uint64_t offset() const { return mp::detail::heap().offset_of(words_); }
    [[nodiscard]] int arrived() const { return words_->arrived; }
    void open() {
        words_->open = 1;
        mp::detail::futex_wake(words_->open);
    }
    void wait_for(int tasks) const {
        REQUIRE(support::eventually([&] { return words_->arrived >= tasks; }));
    }

  private:
    // Never freed: a task may come to it when the case is at its end.
    GateWords* words_ = new (mp::detail::allocate_zeroed(sizeof(GateWords))) GateWords{};
};

inline std::vector<int> numbers(int n) {
    std::vector<int> items(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) items[static_cast<std::size_t>(i)] = i;
    return items;
}
