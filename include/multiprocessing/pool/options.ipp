// multiprocessing/pool/options.ipp
//
// Which pool options are refused: see options.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/options.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "multiprocessing/detail/affinity.hpp"
#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing {

MULTIPROCESSING_INLINE std::vector<std::vector<int>> pin_each() {
    std::vector<std::vector<int>> sets;
    for (const int core : detail::cores_of_this_thread()) sets.push_back({core});
    return sets;
}

namespace detail {

/// @throws ValueError for a set without a core that this machine has
[[gnu::cold]] MULTIPROCESSING_INLINE void check_cores(const std::vector<std::vector<int>>& sets) {
    const long count = ::sysconf(_SC_NPROCESSORS_CONF);
    for (std::size_t i = 0; i < sets.size(); ++i) {
        const auto is_there = [&](int core) { return core >= 0 && core < count; };
        if (!sets[i].empty() && std::ranges::all_of(sets[i], is_there)) continue;
        throw ValueError(
            joined({"cpus[", i, "] must be a set of cores of this machine, each from 0 to ",
                    count - 1, ", and at least one"}));
    }
}

/// @throws ValueError for what is no signal, or one that cannot be ignored
[[gnu::cold]] MULTIPROCESSING_INLINE void check_ignorable(int number) {
    if (number >= 1 && number <= SIGRTMAX && number != SIGKILL && number != SIGSTOP) return;
    throw ValueError(
        joined({"ignore_signals: signal ", number, " cannot be ignored: take one from 1 to ",
                SIGRTMAX, ", but not SIGKILL or SIGSTOP"}));
}

MULTIPROCESSING_INLINE void check_options(const PoolOptions& options) {
    if (options.processes < 1) throw ValueError("Number of processes must be at least 1");
    if (options.maxtasksperchild < 0) {
        throw ValueError("maxtasksperchild must be at least 1, or 0 for no limit");
    }
    if (options.retries < 0) throw ValueError("retries must be at least 0");
    if (options.retry_delay.is_forever()) {
        throw ValueError(
            "retry_delay must be a number of seconds: a task that is never tried again "
            "has no retries");
    }
    if (!(options.retry_backoff >= 1)) throw ValueError("retry_backoff must be at least 1");
    if (options.max_pending < 0) throw ValueError("max_pending must be at least 1, or 0");
    if (options.buffersize < 0) throw ValueError("buffersize must be at least 1, or 0");
    if (options.traced < 0) throw ValueError("traced must be at least 0");
    check_cores(options.cpus);
    if (options.nice < -40 || options.nice > 40) {
        throw ValueError(joined({"nice must be from -40 to 40, not ", options.nice}));
    }
    std::ranges::for_each(options.ignore_signals, check_ignorable);
}

/// @throws ValueError if a pool within this process is given the option
[[gnu::cold]] MULTIPROCESSING_INLINE void refuse_if(bool is_set, const char* option) {
    if (!is_set) return;
    throw ValueError(std::string(option) +
                     " needs worker processes: a pool of threads, or of the serial context, has "
                     "none. Leave the option out, or use a Pool");
}

MULTIPROCESSING_INLINE void check_local_options(const PoolOptions& options) {
    check_options(options);
    refuse_if(options.max_memory_per_child != 0, "max_memory_per_child");
    refuse_if(options.memory_limit != 0, "memory_limit");
    refuse_if(options.grace.nanoseconds().count() != 0, "grace");
    refuse_if(!options.idle_timeout.is_forever(), "idle_timeout");
    refuse_if(options.start != PoolStart::at_once, "PoolStart::on_demand");
    refuse_if(!options.cpus.empty(), "cpus");
    refuse_if(options.nice != 0, "nice");
    refuse_if(!options.ignore_signals.empty(), "ignore_signals");
    refuse_if(!options.stdout_file.empty(), "stdout_file");
    refuse_if(!options.stderr_file.empty(), "stderr_file");
}

MULTIPROCESSING_INLINE std::uint64_t TaskRules::delay_after(std::uint32_t attempts,
                                                            std::uint64_t random) const noexcept {
    constexpr double longest = 1e18;  // nanoseconds: 30 years
    const double delay = static_cast<double>(retry_delay.nanoseconds().count()) *
                         std::pow(retry_backoff, static_cast<double>(attempts - 1));
    // A step of Knuth's linear congruential generator: its upper bits are random enough for this.
    const std::uint64_t bits = random * 6364136223846793005u + 1442695040888963407u;
    const double quarter = static_cast<double>(bits >> 34) / static_cast<double>(1u << 30) / 4;
    return static_cast<std::uint64_t>((std::min)(delay * (1 + quarter), longest));
}

}  // namespace detail
}  // namespace multiprocessing
