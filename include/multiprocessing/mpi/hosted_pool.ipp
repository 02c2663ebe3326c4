// multiprocessing/mpi/hosted_pool.ipp
//
// How options go to the nodes, and the name of this machine: see hosted_pool.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/mpi/hosted_pool.hpp"

#include <unistd.h>

#include <string>
#include <string_view>

#include "multiprocessing/logging/outlets.hpp"

namespace multiprocessing::detail {

/// Returns a time as it travels: in seconds, below 0 for ever.
inline double travelling_seconds(const Timeout& timeout) {
    return timeout.is_forever() ? -1 : static_cast<double>(timeout.nanoseconds().count()) * 1e-9;
}
inline Timeout timeout_of(double seconds) {
    return seconds < 0 ? Timeout(std::nullopt) : Timeout(seconds);
}

/// Passes the options that travel as they are to an archive, in one order for both ways.
template <class Archive, class Options>
void pass_options(Archive& archive, Options& options) {
    archive(options.processes, options.retries, options.maxtasksperchild,
            options.max_memory_per_child, options.memory_limit, options.retry_backoff,
            options.traced, options.start, options.cpus, options.nice, options.ignore_signals,
            options.stdout_file, options.stderr_file);
}

inline void save_options(OutputArchive& archive, const mpi::PoolOptions& options) {
    pass_options(archive, options);
    archive(travelling_seconds(options.task_timeout), travelling_seconds(options.lost_after),
            travelling_seconds(options.grace), travelling_seconds(options.retry_delay),
            travelling_seconds(options.idle_timeout), static_cast<bool>(options.retry_on));
    if (options.retry_on) archive(options.retry_on.matches());
}

inline mpi::PoolOptions load_options(InputArchive& archive) {
    mpi::PoolOptions options;
    pass_options(archive, options);
    for (Timeout* const time : {&options.task_timeout, &options.lost_after, &options.grace,
                                &options.retry_delay, &options.idle_timeout}) {
        *time = timeout_of(archive.read<double>());
    }
    if (archive.read<bool>()) options.retry_on = RetryOn(archive.read<RetryOn::Matches>());
    return options;
}

/// Replaces each `mark` in a text.
inline void replace_all(std::string& text, std::string_view mark, const std::string& by) {
    for (auto at = text.find(mark); at != std::string::npos; at = text.find(mark, at + by.size())) {
        text.replace(at, mark.size(), by);
    }
}

inline std::string HostedPool::name_on_node(std::string name) {
    replace_all(name, "{rank}", std::to_string(rank_of_this_process().rank));
    replace_all(name, "{host}", own_host_name());
    return name;
}

inline void tell_rank_in_log() {
    set_process_fields(
        {{"rank", std::to_string(rank_of_this_process().rank)}, {"host", own_host_name()}});
}

inline std::string own_host_name() {
    char name[256] = {};
    if (::gethostname(name, sizeof name - 1) != 0) return "?";
    return name;
}

}  // namespace multiprocessing::detail
