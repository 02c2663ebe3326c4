// multiprocessing/pool/worker/setup.ipp
//
// How a worker is set up, and what it runs as the last thing: see setup.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/worker/setup.hpp"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "multiprocessing/detail/affinity.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/process/bootstrap.hpp"
#include "multiprocessing/process/target.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void note_setup(PoolBoard& board, const WorkerSetup& setup) {
    if (setup.is_empty()) return;
    OutputArchive archive;
    archive(setup);
    board.staffing.setup = heap().offset_of(make_payload(archive));
}

/// Makes this process nicer, as nice(1) does.
[[gnu::cold]] MULTIPROCESSING_INLINE void be_nice(int by) {
    errno = 0;  // -1 is also a niceness
    if (::nice(by) == -1 && errno != 0) throw_system_error("nice");
}

MULTIPROCESSING_INLINE void set_up_worker(PoolBoard& board, std::uint32_t slot) {
    if (board.staffing.setup == 0) return;
    PayloadReader reader(heap().at(board.staffing.setup));
    const auto setup = reader.archive().read<WorkerSetup>();
    for (const int number : setup.ignore_signals) ::signal(number, SIG_IGN);
    if (setup.nice != 0) be_nice(setup.nice);
    if (!setup.cpus.empty()) stay_on_cores(setup.cpus[slot % setup.cpus.size()]);
    // Last: errors of the steps before are seen where the pool's own are.
    if (setup.output.is_empty()) return;
    flush_standard_streams();
    redirect_output(setup.output, std::to_string(slot));
}

MULTIPROCESSING_INLINE Offset make_exit_message(const Target& target) {
    OutputArchive archive;
    target.save(archive);
    return heap().offset_of(make_payload(archive));
}

MULTIPROCESSING_INLINE void run_on_exit(PoolBoard& board) {
    const Offset message = board.staffing.on_exit.load(std::memory_order_acquire);
    if (message == 0 || board.phase.load() == PoolBoard::terminated) return;
    const PayloadView payload(heap().at(message));
    InputArchive archive(payload.bytes(), payload.handles());
    archive.keep_message();  // every worker reads it
    run_received_target(archive);
}

MULTIPROCESSING_INLINE void drop_setup(PoolBoard& board) noexcept {
    if (board.staffing.setup != 0) destroy_payload(heap().at(board.staffing.setup));
    if (const Offset message = board.staffing.on_exit.load()) destroy_payload(heap().at(message));
}

}  // namespace multiprocessing::detail
