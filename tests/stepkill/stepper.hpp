// Kills a process after each instruction of one operation, and looks each time whether another one
// can go on, and what it finds. Start at kill_everywhere.
//
// An operation is a row of a table:
//     {"Event.set", [] {
//          const mp::Event event;
//          return Trial{.operation = [=] { event.set(); },           // killed somewhere in it
//                       .check = [=] { expect(event.wait(1), "…"); }};  // the survivor
//      }}
// First the operation is recorded step by step; then there is a kill before each of its
// instructions, see chosen_instants. Each kill has a trial of its own, with objects of its own. Of
// the instructions, those after which what processes share is the same are the same to any
// survivor: so in an ordinary run a long operation is killed after the instructions that write to
// shared memory and after its system calls, a short one before all. With the environment variable
// MULTIPROCESSING_STEPKILL=exhaustive all operations are killed before every instruction; of a
// loop, those of its first rounds and of the last one. SPDX-License-Identifier: MIT
#pragma once

#include <dlfcn.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <multiprocessing/connection.hpp>
#include <multiprocessing/detail/cpu.hpp>
#include <multiprocessing/process.hpp>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/stepkill/stepping.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;

namespace stepkill {

/// What is done with one set of objects.
struct Trial {
    std::function<void()> operation;  // by the victim, step by step
    std::function<void()> check;      // by the survivor, afterwards; throws what is wrong
    std::function<void()> before{};   // by the victim, not step by step
    /// By others, from before the operation on. Each throws what is wrong, and has to end.
    std::vector<std::function<void()>> bystanders{};
    bool is_slow = false;  // the survivor may have to wait until it looks who is dead
};

struct Row {
    const char* name;
    std::function<Trial()> make;
};

/// Throws unless a condition holds. @param otherwise what is wrong then
inline void expect(bool condition, std::string_view otherwise) {
    if (!condition) throw std::runtime_error(std::string(otherwise));
}

/// Returns the state of a process as the system has it: R it runs, S it sleeps, Z it is dead.
inline char state_of(pid_t pid) {
    char text[300] = {};
    if (std::FILE* const file = std::fopen(fmt::format("/proc/{}/stat", pid).c_str(), "re")) {
        (void)!std::fgets(text, sizeof text, file);
        std::fclose(file);
    }
    const char* const name_end = std::strrchr(text, ')');
    return name_end == nullptr ? 'Z' : name_end[2];
}

/// Waits until the victim sleeps in a system call or is dead. For bystanders.
inline void await_victim() {
    for (int asleep = 0; asleep < 4 && !board().is_over;) {
        ::usleep(500);
        const bool is_asleep = board().has_begun && state_of(board().victim) != 'R';
        asleep = is_asleep ? asleep + 1 : 0;
    }
}

/// The victim makes an object.
template <class Make>
Trial make_one(Make make, std::function<void()> check) {
    const auto place = std::make_shared<std::optional<decltype(make())>>();
    return {.operation = [=] { place->emplace(make()); }, .check = std::move(check)};
}
/// The victim drops an object that it has made.
template <class Make>
Trial drop_one(Make make, std::function<void()> check) {
    const auto place = std::make_shared<std::optional<decltype(make())>>();
    return {.operation = [=] { place->reset(); },
            .check = std::move(check),
            .before = [=] { place->emplace(make()); }};
}

/// Returns a process that was killed after `function`, and is not collected as long as it is kept.
/// What it has begun is for others to end.
inline std::shared_ptr<mp::ForkProcess> killed_after(const std::function<void()>& function) {
    auto process = std::make_shared<mp::ForkProcess>([function] {
        function();
        ::kill(::getpid(), SIGKILL);
    });
    process->start();
    (void)mp::connection::wait({process->sentinel()}, 5);
    return process;
}

/// Whether all instructions of all operations are wanted.
inline bool is_exhaustive() {
    const char* const wanted = std::getenv("MULTIPROCESSING_STEPKILL");
    return wanted != nullptr && std::strcmp(wanted, "exhaustive") == 0;
}

// --- which instructions ---

constexpr std::size_t short_operation = 400;  // steps; longer ones are sampled
constexpr std::uint64_t most_rounds = 4;      // of a loop, and the last one

/// Whether an address lies in the C++ runtime, the dynamic linker or the kernel's clock: their long
/// ways change nothing that is shared.
inline bool is_in_runtime(std::uint64_t place) {
    static std::map<std::uint64_t, bool> known;
    const auto [it, is_new] = known.try_emplace(place, false);
    if (is_new) {
        Dl_info info{};
        const bool found = ::dladdr(reinterpret_cast<void*>(place), &info) != 0;
        for (const char* name : {"libgcc_s", "libstdc++", "libc++", "ld-linux", "linux-vdso"}) {
            it->second |= found && std::strstr(info.dli_fname, name) != nullptr;
        }
    }
    return it->second;
}

/// Returns the instants to kill at, of those recorded.
/// @param trace    by number, from 1 on
/// @param want_all whether those at which nothing new can be seen are wanted too
inline std::vector<Instant> chosen_instants(std::span<const Step> trace, bool want_all) {
    std::map<std::uint64_t, std::uint64_t> left;
    for (const Step& step : trace.subspan(1)) ++left[step.place];
    std::map<std::uint64_t, std::uint64_t> seen;
    std::vector<Instant> chosen;
    for (std::size_t number = 1; number < trace.size(); ++number) {
        const std::uint64_t place = trace[number].place;
        const std::uint64_t round = ++seen[place];
        const bool is_last = --left[place] == 0;
        const bool is_wanted = trace[number].changes != 0 || (want_all && !is_in_runtime(place));
        if (is_wanted && (round <= most_rounds || is_last))
            chosen.push_back({place, round, number});
    }
    chosen.push_back({0, 0, trace.size()});  // when it has returned
    return chosen;
}

/// Returns the place in the source of an instruction, for a report.
inline std::string line_of(std::uint64_t place) {
    Dl_info info{};
    if (::dladdr(reinterpret_cast<void*>(place), &info) == 0) return "?";
    std::string text;
    const std::string command = fmt::format(
        "addr2line -ise {} {:#x} 2>/dev/null | head -n 3", info.dli_fname,
        place - static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(info.dli_fbase)));
    if (std::FILE* const pipe = ::popen(command.c_str(), "re")) {
        for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
            text += c == '\n' ? ' ' : static_cast<char>(c);
        }
        ::pclose(pipe);
    }
    return text;
}

// --- the processes of a trial ---

constexpr double patience = 2;       // seconds that a survivor has
constexpr double long_sleep = 0.02;  // seconds

/// Calls a function, and writes what it throws on the board.
inline void run_and_remark(const std::function<void()>& function, std::size_t place) {
    char(&remark)[400] = board().remarks[place];
    const auto say = [&](const char* text) { std::snprintf(remark, sizeof remark, "%s", text); };
    try {
        function();
        say("");
    } catch (const std::exception& error) {
        say(error.what());
    }
}

/// A process that runs a function and remarks what is wrong.
class Witness {
  public:
    /// @param place of its remark: 0 the survivor's, from 1 on the bystanders'
    Witness(std::function<void()> function, std::size_t place)
        : place_(place), process_([function = std::move(function), place] {
              if (place != 0) ++board().bystanders;
              run_and_remark(function, place);
          }) {
        std::strcpy(board().remarks[place], "died");
        process_.start();
    }
    Witness(const Witness&) = delete;
    Witness& operator=(const Witness&) = delete;
    ~Witness() { end(0); }

    /// Waits for its end. @returns what it found wrong
    std::string end(double seconds) {
        if (process_.join(seconds)) return board().remarks[place_];
        process_.kill();
        process_.join();
        return "hangs";
    }

  private:
    std::size_t place_;
    mp::ForkProcess process_;
};

/// The process that is killed.
class Victim {
  public:
    /// @param instant when; none: it only records its steps
    explicit Victim(const Trial& trial, const std::optional<Instant>& instant)
        : process_([&trial, instant] {
              board().victim = ::getpid();
              if (trial.before) trial.before();
              if (instant) {
                  run_to(*instant, trial.operation);
              } else {
                  step_through(trial.operation);
              }
              ::kill(::getpid(), SIGKILL);
          }) {
        process_.start();
    }

    /// Waits until it is dead. @returns whether it took no step for a while, see `long_sleep`
    bool await_death() {
        constexpr int most_looks = 500;
        bool has_slept = false;
        std::uint64_t before = 0;
        for (int looks = 0; mp::connection::wait({process_.sentinel()}, long_sleep).empty();) {
            has_slept = has_slept || board().steps == before;
            before = board().steps;
            if (++looks == most_looks) kill();
        }
        board().is_over = true;
        return has_slept;
    }
    void kill() { ::kill(static_cast<pid_t>(process_.pid().value()), SIGKILL); }
    void collect() {
        process_.join();
        board().is_collected = true;
    }

  private:
    mp::ForkProcess process_;
};

inline void start_bystanders(const Trial& trial, std::list<Witness>& witnesses) {
    for (const auto& bystander : trial.bystanders) {
        witnesses.emplace_back(bystander, witnesses.size() + 1);
    }
    const auto count = static_cast<std::uint32_t>(trial.bystanders.size());
    while (board().bystanders != count) ::usleep(100);
    if (count != 0) ::usleep(2'000);  // asleep by now, those that sleep
}

/// What an operation does when nobody is killed.
struct Recording {
    std::vector<Step> trace;  // by number; 0 is not used
    bool sleeps;
    bool is_slow;  // each trial is
};

inline Recording record(const Row& row) {
    board().clear();
    const Trial trial = row.make();
    std::list<Witness> bystanders;
    start_bystanders(trial, bystanders);
    Victim victim(trial, std::nullopt);
    const bool sleeps = victim.await_death();
    victim.collect();
    return {{board().trace, board().trace + board().steps + 1},
            sleeps,
            trial.is_slow || !bystanders.empty()};
}

enum class Kill { at_an_instant, in_its_sleep };

/// Kills a process at an instant, or in its sleep.
/// @param is_collected whether before the survivor starts
/// @returns what is wrong then
inline std::string kill_at(const Instant& instant, Kill kill, const Row& row, bool is_collected) {
    board().clear();
    const Trial trial = row.make();
    std::list<Witness> bystanders;
    start_bystanders(trial, bystanders);
    Victim victim(trial, instant);
    if (kill == Kill::in_its_sleep) {
        await_victim();
        victim.kill();
    }
    victim.await_death();
    if (is_collected) victim.collect();
    std::string wrong = Witness(trial.check, 0).end(patience);
    for (Witness& bystander : bystanders) {
        const std::string remark = bystander.end(patience);
        if (!remark.empty()) wrong += " | a bystander: " + remark;
    }
    victim.collect();
    return wrong;
}

// --- the tests ---

/// What came of the kills in one operation.
struct Outcome {
    std::map<std::string, std::vector<Instant>> failures;  // by what was wrong
    std::size_t failure_count = 0;
    std::size_t missed = 0;  // instants that the victim did not come to

    [[nodiscard]] std::string report() const {
        std::string text;
        for (const auto& [wrong, instants] : failures) {
            text += fmt::format("{} times: {}\n", instants.size(), wrong);
            for (const Instant& at : {instants.front(), instants.back()}) {
                text += fmt::format("    before step {}, {}\n", at.step, line_of(at.place));
            }
        }
        return text;
    }
};

/// Kills one process at each of these instants, and then some in their sleep.
inline Outcome kill_at_each(const std::vector<Instant>& instants, std::size_t in_sleep,
                            const Row& row) {
    Outcome outcome;
    for (std::size_t i = 0; i < instants.size() + in_sleep; ++i) {
        const bool is_awake = i < instants.size();
        const Instant& instant = is_awake ? instants[i] : instants.back();
        // Every other victim is a zombie while the survivor looks.
        const std::string wrong =
            kill_at(instant, is_awake ? Kill::at_an_instant : Kill::in_its_sleep, row, i % 2 == 0);
        outcome.missed += board().hits < instant.round;
        if (wrong.empty()) continue;
        outcome.failures[wrong].push_back(instant);
        ++outcome.failure_count;
    }
    return outcome;
}

/// Kills processes in a row's operation, each at another instant.
inline void kill_in(const Row& row) {
    const auto begin = std::chrono::steady_clock::now();
    (void)record(row);  // once before: the first time may need what the others find there
    const auto [trace, sleeps, is_slow] = record(row);
    const bool is_short = trace.size() <= short_operation && !is_slow;
    const auto instants = chosen_instants(trace, is_short || is_exhaustive());
    const std::size_t in_sleep = sleeps ? 2 : 0;
    const Outcome outcome = kill_at_each(instants, in_sleep, row);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    fmt::print("{:5} steps {:5} kills {:3} missed {:3} failures {:5.1f} s  {}\n", trace.size() - 1,
               instants.size() + in_sleep, outcome.missed, outcome.failure_count, time.count(),
               row.name);
    std::fflush(stdout);
    CAPTURE(row.name);
    CHECK(outcome.report() == "");
}

/// Kills processes in the operations of a table, each a section of the test case.
inline void kill_everywhere(std::span<const Row> rows) {
    if (support::sanitized || !can_step()) {
        WARN("skipped: nothing steps here, under a sanitizer, an emulator, or not on x86-64");
        return;
    }
    // What is done once in a process, and long, is a part of no operation.
    (void)mp::detail::spinning_helps();
    REQUIRE_THROWS_AS(expect(false, ""), std::runtime_error);
    for (const Row& row : rows) {
        DYNAMIC_SECTION(row.name) { kill_in(row); }
    }
}

}  // namespace stepkill
