// The main function of every test program.
// SPDX-License-Identifier: MIT

#include <pthread.h>

#include <csignal>
#include <multiprocessing.hpp>
#include <multiprocessing/process/lifeline.hpp>
#include <set>
#include <string>

#include "tests/support.hpp"

int run_tests(int argc, char** argv);  // catch.cpp

// Called by catch.cpp around each case.
void begin_case();
std::string end_case();

namespace {

// Catch2 v3 is a compiled library that handles these signals, so each forked child takes the
// handlers off again and dies of the signal as it should. (An exec does that by itself.)
void reset_signals() {
    for (int number : {SIGINT, SIGILL, SIGFPE, SIGSEGV, SIGTERM, SIGABRT}) {
        std::signal(number, SIG_DFL);
    }
}

std::set<std::string> open_before;

/// Returns what a case has left: children that nobody has waited for, open descriptors.
std::string what_is_left() {
    std::string left;
    if (support::has_children()) left = " a child";
    for (const std::string& open : support::descriptors()) {
        if (!open_before.contains(open)) left += " descriptor " + open;
    }
    return left;
}

}  // namespace

void begin_case() {
    // What the library opens once and keeps.
    (void)multiprocessing::detail::heap();
    multiprocessing::detail::lifeline();
    multiprocessing::detail::open_null_device();
    open_before = support::descriptors();
}

std::string end_case() {
    std::string left;
    support::eventually([&left] { return (left = what_is_left()).empty(); }, 5);
    return left;
}

int main(int argc, char** argv) {
    // First, so that a spawned child runs its function and never reaches Catch.
    multiprocessing::freeze_support();
    ::pthread_atfork(nullptr, nullptr, reset_signals);
    return run_tests(argc, argv);
}
