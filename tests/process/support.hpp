// What the tests of processes share: what their children do, and how they end.
// SPDX-License-Identifier: MIT
#pragma once

#include <multiprocessing/process.hpp>

#include <atomic>
#include <csignal>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using support::in_heap;
using support::InHeap;

#define START_METHODS mp::start_method::fork, mp::start_method::spawn, mp::start_method::forkserver

inline void nothing() {}
inline void sleep_long() { ::sleep(600); }

template <class Method>
int exitcode_of(auto f, auto... args) {
    mp::BasicProcess<Method> process(f, args...);
    process.start();
    REQUIRE(process.join(60));
    return process.exitcode().value();
}
