// Catch2's own code, apart from main.cpp because it takes long to compile and never changes; and
// the check after each case that nothing is left. SPDX-License-Identifier: MIT

// v2 puts its code in the one file that defines this. Its signal handlers stay out: a child that a
// test kills must die of the signal, not print Catch's report of it.
#define CATCH_CONFIG_RUNNER
#define CATCH_CONFIG_NO_POSIX_SIGNALS
#include "tests/catch.hpp"

#include <cstdio>
#include <string>

int run_tests(int argc, char** argv);  // called by main.cpp
void begin_case();                     // main.cpp
std::string end_case();

namespace {

bool any_left_something = false;

#if __has_include(<catch2/catch_all.hpp>)
using Listener = Catch::EventListenerBase;
std::string name_of(const Catch::TestCaseStats& stats) { return stats.testInfo->name; }
#else
using Listener = Catch::TestEventListenerBase;
std::string name_of(const Catch::TestCaseStats& stats) { return stats.testInfo.name; }
#endif

/// Fails the program when a case leaves something behind. A listener cannot fail the case itself.
class NothingIsLeft : public Listener {
  public:
    using Listener::Listener;

    void testCaseStarting(const Catch::TestCaseInfo&) override { begin_case(); }
    void testCaseEnded(const Catch::TestCaseStats& stats) override {
        const std::string left = end_case();
        if (left.empty()) return;
        any_left_something = true;
        std::fprintf(stderr, "The case \"%s\" left%s\n", name_of(stats).c_str(), left.c_str());
    }
};
CATCH_REGISTER_LISTENER(NothingIsLeft)

}  // namespace

int run_tests(int argc, char** argv) {
    const int result = Catch::Session().run(argc, argv);
    return result == 0 && any_left_something ? 1 : result;
}
