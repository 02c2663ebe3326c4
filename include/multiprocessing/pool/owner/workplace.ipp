// multiprocessing/pool/owner/workplace.ipp
//
// How a pool's board is made and freed, and how its threads wake one another: see workplace.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/workplace.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/pool/board/worker_log.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

// --- WakeDescriptor ---

MULTIPROCESSING_INLINE void WakeDescriptor::stir() const noexcept {
    const std::uint64_t one = 1;
    (void)!::write(get(), &one, sizeof one);  // fails only when it is readable anyway
}

MULTIPROCESSING_INLINE void WakeDescriptor::heed(int events) {
    std::uint64_t count = 0;
    if ((events & POLLNVAL) == 0 && ::read(get(), &count, sizeof count) > 0) return;
    if ((events & POLLNVAL) == 0 && errno == EAGAIN) return;
    // The program has closed it, and may have given its number to a file of its own.
    Descriptor fresh = make();
    (void)descriptor_.release();
    descriptor_ = std::move(fresh);
}

MULTIPROCESSING_INLINE Descriptor WakeDescriptor::make() {
    return out_of_the_way(
        open_descriptor("eventfd", [] { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }));
}

// --- Workplace ---

MULTIPROCESSING_INLINE Workplace::Workplace(const SupervisorOptions& wishes,
                                            std::unique_ptr<Crew> workers)
    : options(wishes), crew(std::move(workers)) {
    make_board();
    try {
        entries.open(*board);
        crew->open(*board);
    } catch (...) {
        deallocate(board);
        throw;
    }
}

MULTIPROCESSING_INLINE Workplace::~Workplace() {
    if (fork_depth() != owner_depth_) return;  // a forked child's copy: it is the parent's
    entries.clear();
    if (const Offset failure = board->failure.load()) destroy_payload(heap().at(failure));
    deallocate(board);
}

MULTIPROCESSING_INLINE void Workplace::open(const std::weak_ptr<void>& owner) {
    courier.open(arrivals(), owner);
    recruiter.open(owner);
}

MULTIPROCESSING_INLINE void Workplace::tell_of_withdrawn() {
    withdrawals.fetch_add(1);
    announce_arrival(*board);
    courier.look_at_all();
}

MULTIPROCESSING_INLINE void Workplace::stir() {
    announce_phase(*board);
    tell_of_withdrawn();
    wake.stir();
}

MULTIPROCESSING_INLINE void Workplace::terminate_locked(const std::exception_ptr& error) {
    board->phase.store(PoolBoard::terminated);
    pending.give_up(error);
    stir();
}

MULTIPROCESSING_INLINE void Workplace::break_locked(const std::string& why) {
    if (broken) return;
    broken = std::make_exception_ptr(BrokenProcessPool(why));
    terminate_locked(broken);
}

MULTIPROCESSING_INLINE void Workplace::report_later(const char* what, const char* why) {
    send_or_skip([what, reason = std::string(why)] { report_error(what, reason); });
}

MULTIPROCESSING_INLINE void Workplace::log_line_later(std::string line) {
    send_or_skip([line = std::move(line)] { log_event(log_level::debug, line); });
}

template <class Errand>
void Workplace::send_or_skip(Errand errand) noexcept {
    try {
        recruiter.send(std::move(errand));
    } catch (...) {  // no memory, or no thread: the line is lost
    }
}

MULTIPROCESSING_INLINE void Workplace::make_board() {
    const std::size_t head = sizeof(PoolBoard) + std::size_t{options.workers} * sizeof(WorkerSlot);
    const std::size_t logs = options.workers * WorkerLog::size_for(options.log_size);
    board = static_cast<PoolBoard*>(allocate_zeroed(head + logs));
    board->worker_count = options.workers;
    board->max_tasks = options.max_tasks;
    board->log_size = options.log_size;
    board->first_log = heap().offset_of(board) + head;
    // More spinners than cores would only take the cores from each other.
    const auto cores = static_cast<std::uint32_t>(usable_cpu_count());
    board->may_spin = spinning_helps() && options.workers <= cores ? 1 : 0;
    board->keeps_apart = options.workers > (std::max)(1u, cores / 2) && board->may_spin != 0;
}

}  // namespace multiprocessing::detail
