// multiprocessing/mpi/master.ipp
//
// What the master's thread does: see master.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/mpi/master.hpp"

#include <sys/utsname.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <string>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/logging.hpp"

namespace multiprocessing::detail {

constexpr std::uint64_t nanoseconds_a_second = 1'000'000'000;
constexpr std::uint64_t greeting_time = 60 * nanoseconds_a_second;
constexpr std::uint64_t usual_lost_after = 10 * nanoseconds_a_second;  // while there is no pool
constexpr std::uint64_t master_beat = nanoseconds_a_second;

/// A machine's architecture, and a build id. The build id is of the program with this library in
/// it, so no other version needs to be told.
inline std::string program_text() {
    utsname machine{};
    ::uname(&machine);
    return joined({machine.machine, ", build ", main_image().build_id});
}

inline Master::Master(MPI_Comm communicator, int ranks) : mailbox_(communicator, ranks) {
    desk_->nodes.resize(static_cast<std::size_t>(ranks));
    desk_->nodes[0].greeted = true;
}

inline void Master::start() {
    last_step_ = monotonic_now();
    for (KnownNode& node : desk_->nodes) node.last_heard = last_step_;
    thread_.start(shared_from_this(), [this] { run(); });
    std::unique_lock lock(desk_->mutex);
    const auto all_are_known = [this] {
        return refusal_ || std::ranges::all_of(desk_->nodes, [](const KnownNode& node) {
                   return node.greeted || node.lost;
               });
    };
    if (!desk_->changed.wait_for(lock, std::chrono::nanoseconds(greeting_time), all_are_known)) {
        throw RuntimeError(
            "a rank of the program has not called multiprocessing::mpi::serve() within a minute");
    }
    if (refusal_) std::rethrow_exception(refusal_);
}

inline bool Master::finish() {
    Crews left;
    {
        const std::lock_guard guard(desk_->mutex);
        left = crews();
    }
    for (const auto& crew : left) {
        if (crew->finishes_at_exit()) crew->finish();
    }
    {
        const std::lock_guard guard(desk_->mutex);
        left = crews();
        for (const auto& crew : left) crew->break_off(nullptr);
        desk_->finishing = true;
        for (std::size_t rank = 1; rank < desk_->nodes.size(); ++rank) {
            Letter letter(LetterKind::finish);
            letter.content()(desk_->any_lost);
            desk_->outgoing.emplace_back(static_cast<int>(rank), std::move(letter));
        }
    }
    desk_->stir();
    thread_.wait();
    const std::lock_guard guard(desk_->mutex);
    return std::ranges::all_of(desk_->nodes.begin() + 1, desk_->nodes.end(), &KnownNode::finished);
}

inline void Master::run() {
    Patience::be_exact();
    try {
        while (!is_done()) {
            const std::uint32_t seen = desk_->wake.load();
            if (step()) {
                patience_.note_work();
            } else {
                rest(seen);
            }
        }
    } catch (...) {
        // Without this thread there are no nodes; nobody must wait for them.
        report_error("the thread of rank 0 that talks with the nodes has ended",
                     describe_exception(std::current_exception()));
        const std::lock_guard guard(desk_->mutex);
        if (!refusal_) refusal_ = std::current_exception();
        for (std::size_t rank = 1; rank < desk_->nodes.size(); ++rank) {
            lose(static_cast<int>(rank));
        }
    }
    const std::lock_guard guard(desk_->mutex);
    for (const auto& crew : crews()) crew->let_nodes_go();
}

inline void Master::rest(std::uint32_t seen) {
    const std::uint64_t time = patience_.next_rest();
    if (time == 0) return;
    const timespec wait{0, static_cast<long>(time)};
    futex_wait(desk_->wake, seen, &wait);
}

/// @returns whether there was anything to do
inline bool Master::step() {
    bool moved = mailbox_.poll([this](const ReceivedLetter& letter) { receive(letter); });
    const std::lock_guard guard(desk_->mutex);
    moved |= send_outgoing();
    for (const auto& crew : crews()) crew->hand_out(mailbox_);
    moved |= send_outgoing();
    const std::uint64_t now = monotonic_now();
    // Where this thread itself did not run, nobody's silence counts.
    if (now - last_step_ > nanoseconds_a_second / 10) {
        for (KnownNode& node : desk_->nodes) {
            node.last_heard = (std::min)(node.last_heard + (now - last_step_), now);
        }
    }
    last_step_ = now;
    beat(now);
    look_for_losses(now);
    return moved;
}

inline Master::Crews Master::crews() const {
    Crews crews;
    for (const auto& [number, weak] : desk_->crews) {
        if (auto crew = weak.lock()) crews.push_back(std::move(crew));
    }
    return crews;
}

inline bool Master::send_outgoing() {
    bool any = false;
    for (auto& outgoing = desk_->outgoing; !outgoing.empty(); outgoing.pop_front()) {
        auto& [to, letter] = outgoing.front();
        mailbox_.send(to, std::move(letter));
        any = true;
    }
    return any;
}

inline void Master::receive(const ReceivedLetter& letter) {
    const std::lock_guard guard(desk_->mutex);
    KnownNode& node = desk_->nodes[static_cast<std::size_t>(letter.from)];
    switch (letter.head.kind) {
        case LetterKind::beat:
            return;
        case LetterKind::hello:
            return take_hello(letter.from, letter.content);
        case LetterKind::finished:
            node.finished = true;
            return;
        default:
            break;
    }
    const auto found = desk_->crews.find(letter.head.pool);
    const auto crew = found == desk_->crews.end() ? nullptr : found->second.lock();
    if (crew) crew->take_letter(letter);
}

/// The content of LetterKind::hello: what program_text says, the host, and its cores.
inline void Master::take_hello(int from, std::span<const std::byte> content) {
    KnownNode& node = desk_->nodes[static_cast<std::size_t>(from)];
    InputArchive archive(content);
    const auto program = archive.read<std::string>();
    archive(node.host, node.cores);
    node.greeted = true;
    if (program != program_text()) {
        refusal_ = std::make_exception_ptr(RuntimeError(
            joined({"the program of rank ", from, " on ", node.host, " (", program,
                    ") is not the one of rank 0 on ", own_host_name(), " (", program_text(),
                    "): all ranks must run the same file, or copies of it"})));
    }
    desk_->changed.notify_all();
}

inline void Master::beat(std::uint64_t now) {
    // No letter may follow the last one: nobody would receive it.
    if (desk_->finishing || now - last_beat_ < master_beat) return;
    last_beat_ = now;
    for (std::size_t rank = 1; rank < desk_->nodes.size(); ++rank) {
        mailbox_.send(static_cast<int>(rank), Letter(LetterKind::beat));
    }
}

inline void Master::look_for_losses(std::uint64_t now) {
    std::uint64_t longest_silence = usual_lost_after;
    // At the end of the program nodes say nothing while their pools end.
    for (const auto& crew : desk_->finishing ? Crews() : crews()) {
        longest_silence = (std::min)(longest_silence, crew->lost_after());
    }
    for (std::size_t rank = 1; rank < desk_->nodes.size(); ++rank) {
        KnownNode& node = desk_->nodes[rank];
        if (node.lost || node.finished) continue;
        node.last_heard = (std::max)(node.last_heard, mailbox_.last_heard(static_cast<int>(rank)));
        // MPI_Finalize and what the program does before serve take as long as they take.
        const bool is_silent = node.greeted && now - node.last_heard > longest_silence;
        const bool is_gone = mailbox_.unreachable().contains(static_cast<int>(rank));
        if (is_silent || is_gone) lose(static_cast<int>(rank));
    }
}

inline void Master::lose(int rank) {
    KnownNode& node = desk_->nodes[static_cast<std::size_t>(rank)];
    if (node.lost) return;
    node.lost = true;
    desk_->any_lost = true;
    // If it lives after all, it reads this some time, and ends.
    Letter letter(LetterKind::finish);
    letter.content()(true);
    mailbox_.send(rank, std::move(letter));
    mailbox_.forget(rank);
    log_if_enabled(log_level::warning, [&] {
        return joined({"the node of rank ", rank, " on ", node.host, " is lost"});
    });
    for (const auto& crew : crews()) crew->lose(rank);
    desk_->changed.notify_all();
}

/// Returns whether each node has said farewell, or does not answer.
inline bool Master::is_done() const {
    const std::lock_guard guard(desk_->mutex);
    if (!desk_->finishing || !desk_->outgoing.empty()) return false;
    return std::ranges::all_of(desk_->nodes.begin() + 1, desk_->nodes.end(),
                               [](const KnownNode& node) { return node.finished || node.lost; });
}

}  // namespace multiprocessing::detail
