// multiprocessing/pool.ipp
//
// How a pool of processes is opened and ended: see pool.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void ProcessPool::open_workers(const PoolOptions& options,
                                                      StartWorker start_worker,
                                                      std::shared_ptr<Target> initializer,
                                                      bool finishes) {
    check_options(options);
    buffersize_ = static_cast<std::size_t>(options.buffersize);
    shows_progress_ = options.progress;
    OutputFiles output{options.stdout_file, options.stderr_file};
    output.make_absolute();
    backend_.open({static_cast<std::uint32_t>(options.processes),
                   static_cast<std::uint32_t>(options.maxtasksperchild),
                   static_cast<std::uint32_t>(options.retries),
                   static_cast<std::uint32_t>(options.traced),
                   options.task_timeout,
                   {options.start == PoolStart::on_demand, options.idle_timeout},
                   {options.cpus, options.nice, options.ignore_signals, std::move(output)},
                   TaskRules(options)},
                  start_worker, std::move(initializer));
    try {
        if (finishes) {
            exit_hooks_.add<true>(backend_.supervisor());
        } else {
            exit_hooks_.add<false>(backend_.supervisor());
        }
    } catch (...) {
        backend_.supervisor()->end();
        throw;
    }
}

MULTIPROCESSING_INLINE void ProcessPool::set_on_exit(std::unique_ptr<Target> call) {
    backend_.supervisor()->set_on_exit(*call);
}

MULTIPROCESSING_INLINE void ProcessPool::end_with_scope() {
    // Results and streams may outlive the pool, so its supervisor does not end by itself.
    const auto supervisor = backend_.supervisor();
    if (supervisor == nullptr) return;
    let_waiting_threads_be_if_static(this);
    supervisor->end();
}

MULTIPROCESSING_INLINE ProcessIdentity ProcessPool::worker_identity() {
    ProcessState& process = state();
    if (!process.identity().may_have_children) {
        throw AssertionError("daemonic processes are not allowed to have children");
    }
    ProcessIdentity identity = child_identity(process);
    identity.lineage = process.next_lineage();
    identity.name = joined({"PoolWorker-", identity.lineage});
    identity.authkey = process.authkey();
    identity.daemon = true;
    identity.dies_with_parent = true;
    identity.is_pool_worker = true;
    return identity;
}

MULTIPROCESSING_INLINE void ProcessPool::note_worker(const std::shared_ptr<Child>& worker) {
    state().add(worker);
    register_exit_handler();
}

}  // namespace multiprocessing::detail
