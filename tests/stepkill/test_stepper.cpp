// The stepper itself: it finds the instant at which two words that belong together differ, and it
// takes no instant for one where nothing has changed.
// SPDX-License-Identifier: MIT
// CTEST: LABELS steps
#include <array>
#include <atomic>
#include <memory>

#include "tests/stepkill/stepper.hpp"

using namespace stepkill;

namespace {

struct Pair {
    std::atomic<int> first;
    std::atomic<int> second;
};

/// Changes two words in two stores, or one of them.
Trial change(int words) {
    const auto pair = std::make_shared<support::InHeap<Pair>>();
    return {.operation =
                [=] {
                    (*pair)->first = 1;
                    if (words == 2) (*pair)->second = 1;
                },
            .check = [=] { expect((*pair)->first == (*pair)->second, "half"); }};
}
const Row two_words{"two words", [] { return change(2); }};
const Row one_word{"one word", [] { return change(1); }};

using Bytes = std::array<char, 100>;

/// Fills many bytes in a loop.
Trial fill() {
    const auto bytes = std::make_shared<support::InHeap<Bytes>>();
    return {.operation =
                [=] {
                    for (char& byte : **bytes) {
                        std::atomic_ref(byte).store(1, std::memory_order_relaxed);
                    }
                },
            .check = [=] { expect((*bytes)->front() == (*bytes)->back(), "half"); }};
}

std::size_t failures_in(const Row& row, bool want_all) {
    std::size_t failures = 0;
    for (const Instant& instant : chosen_instants(record(row).trace, want_all)) {
        const std::string wrong = kill_at(instant, Kill::at_an_instant, row, true);
        failures += wrong == "half";
        CHECK((wrong.empty() || wrong == "half"));
    }
    return failures;
}

}  // namespace

TEST_CASE("The stepper finds the instant between two stores", "[steps]") {
    if (support::sanitized || !can_step()) return;
    CHECK(failures_in(two_words, false) == 1);
    CHECK(failures_in(two_words, true) >= 1);
    // The last one is after both; before the first nothing has changed.
    CHECK(failures_in(two_words, true) + 2 <= record(two_words).trace.size());
    CHECK(failures_in(one_word, false) == 2);  // after its store, and at the end
}

TEST_CASE("The stepper finds the first rounds of a loop and the last one", "[steps]") {
    if (support::sanitized || !can_step()) return;
    CHECK(failures_in({"fill", fill}, false) == most_rounds);  // and the last, after which all is
}

TEST_CASE("The stepper tells an end without an answer", "[steps]") {
    if (support::sanitized || !can_step()) return;
    const Row hangs{"hangs",
                    [] { return Trial{.operation = [] {}, .check = [] { ::sleep(60); }}; }};
    CHECK(kill_at({0, 0, 1}, Kill::at_an_instant, hangs, true) == "hangs");
    const Row crashes{"crashes",
                      [] { return Trial{.operation = [] {}, .check = [] { ::raise(SIGKILL); }}; }};
    CHECK(kill_at({0, 0, 1}, Kill::at_an_instant, crashes, true) == "died");
}
