// What the benchmarks share: timing, and two things measured alternately in one run, so that what
// else the machine does hits both. SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <chrono>
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

template <class Work>
double microseconds_for(Work&& work) {
    return nanoseconds_for(1'000, work);
}

inline double median(std::vector<double> values) {
    std::nth_element(values.begin(), values.begin() + static_cast<long>(values.size() / 2),
                     values.end());
    return values[values.size() / 2];
}

/// Medians of two measurements.
struct Comparison {
    double ours;
    double theirs;
    [[nodiscard]] double ratio() const noexcept { return ours / theirs; }
};

/// Measures both alternately; each function returns a time.
template <class Ours, class Theirs>
Comparison alternate(int rounds, Ours&& ours, Theirs&& theirs) {
    std::vector<double> our_times;
    std::vector<double> their_times;
    for (int round = 0; round < rounds; ++round) {
        their_times.push_back(theirs());
        our_times.push_back(ours());
    }
    return {median(our_times), median(their_times)};
}

}  // namespace measure
