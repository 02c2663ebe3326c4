// What the benchmarks share: contenders that take turns in one run, so that what else the machine
// does hits all of them, and a line of output for each measurement. SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <initializer_list>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

namespace measure {

/// Returns how long `work` takes, in nanoseconds, divided by how many `times` it does something.
template <class Count, class Work>
double nanoseconds_for(Count times, Work&& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - start;
    return time.count() / static_cast<double>(times);
}

/// One of those that do the same work: its name in the table, and a function that does the work
/// once and returns how long it took, in nanoseconds.
struct Contender {
    std::string name;
    std::function<double()> measure;
};

/// The name of what this library does.
inline constexpr const char* ours = "multiprocessing";

/// How long this run may take, and what it prints: for each measurement
///     row <tab> contender <tab> place on the x-axis, or nothing <tab> value
/// as benchmarks/side_by_side.py reads it. Values are nanoseconds unless rows.py says otherwise.
/// All lines are written at the end: whoever reads them wakes up, and would be measured too.
class Run {
  public:
    /// Takes the program's arguments: `quick` measures a quarter as often, and leaves out what is
    /// slow.
    Run(int argc, char** argv) : is_quick_(argc > 1 && std::string_view(argv[1]) == "quick") {}
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    ~Run() { std::fwrite(lines_.data(), 1, lines_.size(), stdout); }

    [[nodiscard]] bool is_quick() const noexcept { return is_quick_; }
    [[nodiscard]] int rounds(int full) const noexcept {
        return is_quick_ ? std::max(full / 4, 2) : full;
    }

    static void report(std::string_view row, std::string_view contender, double value) {
        print(row, contender, "", value);
    }
    static void report(std::string_view row, std::string_view contender, double x, double value) {
        print(row, contender, std::to_string(x), value);
    }

    /// Measures the contenders in turn, `rounds` times in a full run.
    void take_turns(std::string_view row, int rounds,
                    std::initializer_list<Contender> contenders) const {
        for (int round = this->rounds(rounds); round > 0; --round) {
            for (const Contender& contender : contenders) {
                report(row, contender.name, contender.measure());
            }
        }
    }
    /// The same for one point of a plot.
    void take_turns_at(double x, std::string_view row, int rounds,
                       std::initializer_list<Contender> contenders) const {
        for (int round = this->rounds(rounds); round > 0; --round) {
            for (const Contender& contender : contenders) {
                report(row, contender.name, x, contender.measure());
            }
        }
    }

  private:
    static void print(std::string_view row, std::string_view contender, const std::string& x,
                      double value) {
        lines_ += row;
        lines_ += '\t';
        lines_ += contender;
        lines_ += '\t' + x + '\t' + std::to_string(value) + '\n';
    }

    static inline std::string lines_;
    bool is_quick_;
};

/// Returns 0, 1, 2 …
inline std::vector<int> numbers(int count) {
    std::vector<int> numbers(static_cast<std::size_t>(count));
    std::iota(numbers.begin(), numbers.end(), 0);
    return numbers;
}

}  // namespace measure
