// What the tests of the heap share. SPDX-License-Identifier: MIT
#pragma once

#include <multiprocessing/heap.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <memory>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using namespace multiprocessing::detail;
namespace support {

inline std::unique_ptr<Heap> heap_of(std::size_t bytes) {
    return Heap::create(Segment::create(bytes));
}

/// Forks without the library, so that the heap is tested on its own.
template <class Body>
pid_t run_in_child(Body body) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        try {
            body();
        } catch (...) {
            ::_exit(99);  // not into the parent's test case
        }
        ::_exit(0);
    }
    return pid;
}

inline int wait_for(pid_t pid) {
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace support

using support::heap_of;
using support::InHeap;
using support::run_in_child;
using support::wait_for;
