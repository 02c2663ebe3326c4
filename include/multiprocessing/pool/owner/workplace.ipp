// multiprocessing/pool/owner/workplace.ipp
//
// How a pool's board is made and freed, and how its threads wake one another: see workplace.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/owner/workplace.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/logging/emit.hpp"
#include "multiprocessing/pool/board/own_memory.hpp"
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
    : options(wishes),
      soft_stop(wishes.rules.grace),
      crew(std::move(workers)),
      delays(wishes.rules),
      door(wishes.rules.max_pending) {
    make_board();
    try {
        make_policy();
        entries.open(*board);
        crew->open(*board);
        roster.open(*board, *crew, entries, options.workers, options.staff);
        note_setup(*board, options.setup);
    } catch (...) {  // as in the destructor, which does not run
        entries.clear();
        free_policy();
        drop_setup(*board);
        free_board(*board);
        throw;
    }
}

MULTIPROCESSING_INLINE Workplace::~Workplace() {
    if (fork_depth() != owner_depth_) return;  // a forked child's copy: it is the parent's
    entries.clear();
    free_policy();
    if (const Offset failure = board->failure.load()) destroy_payload(heap().at(failure));
    for (const Offset message : former_exit_messages) destroy_payload(heap().at(message));
    drop_setup(*board);
    free_board(*board);
    heap().allocator().cool_at_once();  // what its messages left to rest
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
    if (board->policy != 0) tell_of_begun(*heap().at<TaskPolicy>(board->policy));
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
    // First: to find this out takes memory. After the allocation nothing may throw.
    const auto cores = static_cast<std::uint32_t>(usable_cpu_count());
    board = static_cast<PoolBoard*>(allocate_zeroed(head + logs));
    board->worker_count.store(options.workers);
    board->staffing.first_count = options.workers;
    board->staffing.most_idle = Staffing::for_ever;
    board->max_tasks = options.max_tasks;
    board->log_size = options.log_size;
    board->first_log = heap().offset_of(board) + head;
    board->staffing.cores = cores;
    board->set_habits(options.workers);
}

MULTIPROCESSING_INLINE bool Workplace::needs_policy() const noexcept {
    const TaskRules& rules = options.rules;
    return (rules.retry_on && rules.retries != 0) || door.is_set() || soft_stop.is_set() ||
           rules.leave_above != 0;
}

/// Tells the workers of the less usual options, if there are any.
MULTIPROCESSING_INLINE void Workplace::make_policy() {
    if (!needs_policy()) return;
    const TaskRules& rules = options.rules;
    if (rules.leave_above != 0 && private_memory(0) == 0) {
        throw RuntimeError("max_memory_per_child and memory_limit need /proc, which tells how much "
                           "memory a process has: mount it, or leave them out");
    }
    auto* const policy = static_cast<TaskPolicy*>(allocate_zeroed(sizeof(TaskPolicy)));
    board->policy = heap().offset_of(policy);
    policy->retries = options.retries;
    policy->leave_above = rules.leave_above;
    policy->asks_first = soft_stop.is_set() ? 1 : 0;
    policy->rests_first = delays.is_set() ? 1 : 0;
    if (rules.retry_on && rules.retries != 0) {
        OutputArchive archive;
        archive(rules.retry_on.matches());
        policy->retry_on = heap().offset_of(make_payload(archive));
    }
}

MULTIPROCESSING_INLINE void Workplace::free_policy() noexcept {
    if (board->policy == 0) return;
    auto* const policy = heap().at<TaskPolicy>(std::exchange(board->policy, 0));
    delays.clear(*policy);
    if (policy->retry_on != 0) destroy_payload(heap().at(policy->retry_on));
    deallocate(policy);
}

}  // namespace multiprocessing::detail
