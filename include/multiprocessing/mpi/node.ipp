// multiprocessing/mpi/node.ipp
//
// How a node runs what the master sends: see node.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/mpi/node.hpp"

#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string_view>
#include <utility>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/pidfd.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/mpi/engine.hpp"
#include "multiprocessing/mpi/master.hpp"
#include "multiprocessing/process/log_settings.hpp"

namespace multiprocessing::detail {

constexpr std::uint64_t usual_beat = 1'000'000'000;  // nanoseconds, as what follows
/// After so much silence of rank 0 a node takes it for dead. Long, because nothing is gained by
/// haste: its launcher ends the node sooner, and on one machine the node sees that it has ended.
constexpr std::uint64_t master_patience = 60'000'000'000;
constexpr std::uint64_t suspicious_silence = 2 * usual_beat;

/// Writes what tells the pids of this machine, or of this container, from all others. Only pids of
/// the same boot and namespace can be compared.
inline RankZero rank_zero_here() noexcept {
    RankZero here;
    here.pid = ::getpid();
    char space[64] = {};
    char boot[40] = {};
    const Descriptor file(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
    if (file && ::read(file.get(), boot, 36) == 36 &&
        ::readlink("/proc/self/ns/pid", space, sizeof space - 1) > 0) {
        (void)std::snprintf(here.machine, sizeof here.machine, "%s %s", boot, space);
    }
    return here;
}

inline Descriptor watch_rank_zero(const RankZero& rank_zero) noexcept {
    try {
        const std::string_view machine(rank_zero.machine, sizeof rank_zero.machine);
        const RankZero here = rank_zero_here();
        if (here.machine[0] == 0 || machine != std::string_view(here.machine, machine.size())) {
            return {};
        }
        return open_pidfd(rank_zero.pid);
    } catch (...) {  // no free descriptor, or no pidfds: as on another machine
        return {};
    }
}

inline RunningPart::RunningPart(std::shared_ptr<PendingBatch> call, std::uint64_t result_size)
    : call_(std::move(call)),
      result_size_(result_size),
      told_(call_->chunk_count()),
      untold_(call_->chunk_count()) {}

inline bool RunningPart::is_due(std::uint64_t now, std::uint64_t rest) const noexcept {
    return now - last_told_ >= rest || call_->is_over();
}

inline std::vector<std::uint32_t> RunningPart::take_finished(std::uint32_t workers) {
    std::vector<std::uint32_t> finished;
    std::uint32_t others = 0;
    for (std::uint32_t chunk = first_untold_; chunk < told_.size() && others <= workers; ++chunk) {
        if (told_[chunk]) continue;
        if (call_->progress_of(chunk) != ChunkProgress::finished) {
            ++others;
            continue;
        }
        told_[chunk] = true;
        finished.push_back(chunk);
    }
    while (first_untold_ < told_.size() && told_[first_untold_]) ++first_untold_;
    untold_ -= static_cast<std::uint32_t>(finished.size());
    return finished;
}

inline NodeLoop::NodeLoop(MPI_Comm communicator, const RankOf& rank, const RankZero& rank_zero)
    : mailbox_(communicator, rank.size),
      rank_(rank),
      place_(joined({" (on ", own_host_name(), ", rank ", rank.rank, ")"})),
      launcher_(::getppid()),
      rank_zero_(watch_rank_zero(rank_zero)),
      last_step_(monotonic_now()),
      last_heard_(last_step_) {}

inline NodeEnd NodeLoop::run() {
    Patience::be_exact();
    say_hello();
    while (!finishing_) {
        const std::uint64_t now = monotonic_now();
        if (is_abandoned(now)) return NodeEnd::abandoned;
        const Hosted* const hosted = busiest();
        const std::uint32_t seen =
            hosted == nullptr ? 0 : hosted->pool->supervisor()->arrivals().word->load();
        bool moved = mailbox_.poll([this](const ReceivedLetter& letter) { receive(letter); });
        moved |= tell_results();
        moved |= tell_ended();
        beat(now);
        if (moved) {
            patience_.note_work();
        } else {
            rest(seen);
        }
    }
    say_farewell();
    return any_lost_ ? NodeEnd::after_loss : NodeEnd::finished;
}

/// Sleeps for a moment, or until a chunk is finished.
inline void NodeLoop::rest(std::uint32_t seen) {
    const std::uint64_t time = patience_.next_rest();
    if (time == 0) return;
    if (const Hosted* const hosted = busiest()) {
        (void)hosted->pool->supervisor()->arrivals().wait(
            seen, Deadline(Timeout(std::chrono::nanoseconds(time))));
    } else {
        const timespec pause{0, static_cast<long>(time)};
        ::nanosleep(&pause, nullptr);
    }
}

/// Returns the pool whose results are waited for; null when there is none.
inline NodeLoop::Hosted* NodeLoop::busiest() noexcept {
    for (const auto& [number, hosted] : pools_) {
        if (!hosted->parts.empty()) return hosted.get();
    }
    return nullptr;
}

inline void NodeLoop::send(Letter letter) {
    mailbox_.send(0, std::move(letter));
    last_sent_ = monotonic_now();
}

inline void NodeLoop::say_hello() {
    Letter letter(LetterKind::hello);
    letter.content()(program_text(), own_host_name(), process_cpu_count());
    send(std::move(letter));
}

/// Says that this node lives, if it has said nothing else for some time.
inline void NodeLoop::beat(std::uint64_t now) {
    std::uint64_t interval = usual_beat;
    for (const auto& [number, hosted] : pools_) {
        if (!hosted->end_is_told) interval = (std::min)(interval, hosted->beat);
    }
    if (now - last_sent_ < interval) return;
    send(Letter(LetterKind::beat));
}

inline Meanwhile NodeLoop::sign_of_life() {
    return [this] {
        beat(monotonic_now());
        mailbox_.push();
    };
}

inline bool NodeLoop::is_abandoned(std::uint64_t now) {
    // Where this process itself did not run, nobody's silence counts.
    const std::uint64_t step = now - std::exchange(last_step_, now);
    if (step > usual_beat / 10) last_heard_ = (std::min)(last_heard_ + step, now);
    last_heard_ = (std::max)(last_heard_, mailbox_.last_heard(0));
    // An orphan's parent is another process than the launcher.
    return ::getppid() != launcher_ || now - last_heard_ > master_patience ||
           mailbox_.unreachable().contains(0) ||
           (now - last_heard_ > suspicious_silence && is_rank_zero_dead());
}

/// Returns whether rank 0 is known to have ended: its pidfd is readable then.
inline bool NodeLoop::is_rank_zero_dead() const noexcept {
    pollfd entry{rank_zero_.get(), POLLIN, 0};
    return rank_zero_ && ::poll(&entry, 1, 0) == 1;
}

inline void NodeLoop::receive(const ReceivedLetter& letter) {
    switch (letter.head.kind) {
        case LetterKind::open:
            return open(letter);
        case LetterKind::part:
            return take_part(letter);
        case LetterKind::cancel:
            return cancel(letter);
        case LetterKind::end:
            return end(letter);
        case LetterKind::resize:
            return resize(letter);
        case LetterKind::ask:
            return tell_logs(letter);
        case LetterKind::forget:
            pools_.erase(letter.head.pool);
            return;
        case LetterKind::finish:
            finishing_ = true;
            any_lost_ = InputArchive(letter.content).read<bool>();
            return;
        default:
            return;
    }
}

/// The content of LetterKind::open: the options, how rank 0 logs, and the initializer as
/// Target::save wrote it.
inline void NodeLoop::open(const ReceivedLetter& letter) {
    Letter answer(LetterKind::opened, letter.head.pool);
    try {
        InputArchive archive(letter.content);
        const mpi::PoolOptions options = load_options(archive);
        load_logging(archive);
        tell_rank_in_log();
        const std::size_t size = archive.remaining();
        auto hosted = std::make_shared<Hosted>();
        hosted->pool = std::make_unique<HostedPool>(options, std::span(archive.take(size), size));
        hosted->beat = static_cast<std::uint64_t>(options.lost_after.nanoseconds().count()) / 5;
        answer.content()(static_cast<int>(hosted->pool->supervisor()->worker_count()));
        pools_[letter.head.pool] = std::move(hosted);
    } catch (...) {
        answer = Letter(LetterKind::opened, letter.head.pool);
        answer.content()(0);
        save_exception(answer.content(), std::current_exception(), state().name(), ::getpid());
    }
    send(std::move(answer));
}

inline void NodeLoop::take_part(const ReceivedLetter& letter) {
    const auto found = pools_.find(letter.head.pool);
    if (found == pools_.end() || found->second->is_broken || found->second->is_ending) return;
    Hosted& hosted = *found->second;
    try {
        ReceivedPart part = read_part(letter.content, sign_of_life());
        CallWish wish{.priority = part.wish.priority};
        if (part.wish.timeout >= 0) wish.timeout = part.wish.timeout;
        // As of a stream: each chunk's end is told, and each item's error counts.
        auto call = hosted.pool->supervisor()->submit(
            std::move(part.batch), {.of_stream = true, .wish = wish, .number = part.wish.call});
        hosted.parts.emplace(letter.head.number, RunningPart(std::move(call), part.result_size));
    } catch (const BrokenProcessPool&) {
        hosted.is_broken = true;
        Letter answer(LetterKind::broken, letter.head.pool);
        save_exception(answer.content(), std::current_exception(), state().name(), ::getpid());
        send(std::move(answer));
    } catch (...) {
        send(refusal_of(letter.head.pool, letter.head.number));
    }
}

/// Returns the letter that says of the exception being handled that it keeps a part from being run.
inline Letter NodeLoop::refusal_of(std::uint64_t pool, std::uint64_t number) {
    Letter letter(LetterKind::refused, pool, number);
    save_exception(letter.content(), std::current_exception(), state().name(), ::getpid());
    return letter;
}

inline void NodeLoop::cancel(const ReceivedLetter& letter) {
    const auto found = pools_.find(letter.head.pool);
    if (found == pools_.end()) return;
    const auto part = found->second->parts.find(letter.head.number);
    if (part == found->second->parts.end()) return;
    (void)part->second.call().cancel(InputArchive(letter.content).read<bool>());
}

/// The content of LetterKind::end: whether the workers are killed.
inline void NodeLoop::end(const ReceivedLetter& letter) {
    const auto found = pools_.find(letter.head.pool);
    if (found == pools_.end() || std::exchange(found->second->is_ending, true)) return;
    const bool at_once = InputArchive(letter.content).read<bool>();
    const auto hosted = found->second;
    hosted->parts.clear();
    hosted->ender.start(hosted, [pool = hosted.get(), at_once] {
        const auto supervisor = pool->pool->supervisor();
        if (at_once) {
            supervisor->terminate_and_wait();
        } else {
            supervisor->close();
            supervisor->join();
        }
        pool->has_ended.store(true);
    });
}

inline bool NodeLoop::tell_ended() {
    bool any = false;
    for (const auto& [number, pool] : pools_) {
        if (!pool->has_ended.load() || std::exchange(pool->end_is_told, true)) continue;
        pool->ender.wait();
        send(Letter(LetterKind::ended, number));
        any = true;
    }
    return any;
}

/// The content of LetterKind::resize: how many workers there are to be.
inline void NodeLoop::resize(const ReceivedLetter& letter) {
    const auto found = pools_.find(letter.head.pool);
    if (found == pools_.end() || found->second->is_broken || found->second->is_ending) return;
    try {
        found->second->pool->supervisor()->resize(
            InputArchive(letter.content).read<std::uint32_t>());
    } catch (...) {  // no memory for their places
        found->second->is_broken = true;
        Letter answer(LetterKind::broken, letter.head.pool);
        save_exception(answer.content(), std::current_exception(), state().name(), ::getpid());
        send(std::move(answer));
    }
}

/// The content of LetterKind::ask: whether the latest chunks of the workers are wanted too.
inline void NodeLoop::tell_logs(const ReceivedLetter& letter) {
    const auto found = pools_.find(letter.head.pool);
    if (found == pools_.end()) return;
    const auto supervisor = found->second->pool->supervisor();
    const bool all = InputArchive(letter.content).read<bool>();
    // It may take 50 ms, in which this node gives no sign of life.
    if (all && found->second->beat > usual_beat / 5) supervisor->wait_for_records();
    Letter answer(LetterKind::told, letter.head.pool, letter.head.number);
    try {
        write_logs(answer.content(), *supervisor, all ? WhichRecords::latest : WhichRecords::none);
    } catch (...) {  // no memory for the letter: an empty one, so that nobody waits for it
        answer = Letter(LetterKind::told, letter.head.pool, letter.head.number);
    }
    send(std::move(answer));
}

inline bool NodeLoop::tell_results() {
    bool any = false;
    for (const auto& [number, hosted] : pools_) any |= tell_results_of(number, *hosted);
    return any;
}

inline bool NodeLoop::tell_results_of(std::uint64_t number, Hosted& hosted) {
    bool any = false;
    const std::uint64_t now = monotonic_now();
    for (auto part = hosted.parts.begin(); part != hosted.parts.end();) {
        const bool is_over = part->second.call().is_over();
        if (part->second.is_due(now, between_results(rank_.size))) {
            const std::uint64_t before = last_sent_;
            tell_of_part(number, part->first, hosted, part->second);
            any |= last_sent_ != before;
        }
        // Looked at before: what has ended since is told the next time.
        part = is_over && part->second.is_over() ? hosted.parts.erase(part) : std::next(part);
    }
    return any;
}

inline void NodeLoop::tell_of_part(std::uint64_t pool, std::uint64_t number, Hosted& hosted,
                                   RunningPart& part) {
    if (part.call().is_given_up()) tell_if_broken(pool, hosted, part);
    const auto finished = part.call().is_given_up()
                              ? std::vector<std::uint32_t>()
                              : part.take_finished(hosted.pool->supervisor()->worker_count());
    if (finished.empty() && !part.is_over()) return;
    Letter letter(LetterKind::results, pool, number);
    try {
        letter.content()(part.is_over(), static_cast<std::uint32_t>(finished.size()));
        for (const std::uint32_t chunk : finished) {
            letter.content()(chunk);
            write_outcome(letter.content(), *part.call(), chunk, part.result_size(), place_,
                          sign_of_life());
        }
    } catch (...) {  // no memory for the letter
        letter = refusal_of(pool, number);
        (void)part.call().cancel(true);
    }
    send(std::move(letter));
    part.note_told(monotonic_now());
}

/// A part that was given up here, but not by the master: its pool is broken.
inline void NodeLoop::tell_if_broken(std::uint64_t number, Hosted& hosted,
                                     const RunningPart& part) {
    if (hosted.is_broken || part.call().is_cancelled()) return;
    hosted.is_broken = true;
    Letter letter(LetterKind::broken, number);
    try {
        part.call().throw_if_given_up();
    } catch (...) {
        save_exception(letter.content(), std::current_exception(), state().name(), ::getpid());
    }
    send(std::move(letter));
}

/// Ends the pools, and stays until the last letter has left.
inline void NodeLoop::say_farewell() {
    for (const auto& [number, hosted] : pools_) {
        if (hosted->end_is_told) continue;
        if (hosted->is_ending) {
            hosted->ender.wait();
        } else {
            hosted->pool->supervisor()->terminate_and_wait();
        }
    }
    pools_.clear();
    send(Letter(LetterKind::finished));
    // What MPI has taken may still lie in its own buffers for a moment.
    for (int i = 0; i < 1000 && (i < 20 || !mailbox_.is_empty()); ++i) {
        (void)mailbox_.poll([](const ReceivedLetter&) {});
        const timespec pause{0, 1'000'000};
        ::nanosleep(&pause, nullptr);
    }
}

}  // namespace multiprocessing::detail
