// What the tests of the synchronisation primitives share.
// SPDX-License-Identifier: MIT
#pragma once

#include <multiprocessing/detail/pidfd.hpp>
#include <multiprocessing/process.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/synchronize.hpp>

#include <signal.h>

#include <ctime>
#include <list>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;

#define START_METHODS mp::start_method::fork, mp::start_method::spawn, mp::start_method::forkserver

namespace support {

/// A child that is running; killed and collected at the end of its scope if it is still there.
template <class Method>
class Child {
  public:
    template <class... Args>
    explicit Child(Args&&... args) : process_(std::forward<Args>(args)...) {
        process_.start();
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() { kill(); }

    void kill() {
        process_.kill();
        process_.join();
    }
    /// @returns its exit code
    int join() {
        process_.join();
        return *process_.exitcode();
    }
    /// Kills it and leaves it as a zombie, so that its record in the table stays.
    void kill_only() {
        process_.kill();
        mp::detail::poll_readable(process_.sentinel(), mp::Timeout());
    }
    mp::BasicProcess<Method>& operator*() { return process_; }

  private:
    mp::BasicProcess<Method> process_;
};

/// The processor time that this process has used, in seconds.
inline double cpu_seconds() {
    timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

/// The time on the monotonic clock, in seconds.
inline double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

/// Sends this process a signal every millisecond while it lives. Handlers do not restart calls.
class SignalRain {
  public:
    SignalRain() {
        struct sigaction action {};
        action.sa_handler = [](int) {};
        ::sigaction(SIGUSR1, &action, &old_);
        target_ = ::pthread_self();
        thread_ = std::thread([this] {
            while (!stop_) {
                ::pthread_kill(target_, SIGUSR1);
                ::usleep(1000);
            }
        });
    }
    ~SignalRain() {
        stop_ = true;
        thread_.join();
        ::sigaction(SIGUSR1, &old_, nullptr);
    }

  private:
    struct sigaction old_ {};
    pthread_t target_;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

/// Sleeps until killed.
inline void sleep_on() {
    for (;;) ::pause();
}

}  // namespace support

using support::Child;
