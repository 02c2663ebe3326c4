// The main function of every test program.
// SPDX-License-Identifier: MIT

#include <pthread.h>

#include <csignal>
#include <multiprocessing.hpp>

int run_tests(int argc, char** argv);  // catch.cpp

namespace {

// Catch2 v3 is a compiled library that handles these signals, so each forked child takes the
// handlers off again and dies of the signal as it should. (An exec does that by itself.)
void reset_signals() {
    for (int number : {SIGINT, SIGILL, SIGFPE, SIGSEGV, SIGTERM, SIGABRT}) {
        std::signal(number, SIG_DFL);
    }
}

}  // namespace

int main(int argc, char** argv) {
    // First, so that a spawned child runs its function and never reaches Catch.
    multiprocessing::freeze_support();
    ::pthread_atfork(nullptr, nullptr, reset_signals);
    return run_tests(argc, argv);
}
