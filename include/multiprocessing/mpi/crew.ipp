// multiprocessing/mpi/crew.ipp
//
// How calls are handed out to nodes and their results come back: see crew.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/mpi/crew.hpp"

#include <algorithm>
#include <mutex>

#include "multiprocessing/detail/cpu.hpp"
#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/mpi/node_lost.hpp"
#include "multiprocessing/pool/board/board.hpp"
#include "multiprocessing/pool/board/task_place.hpp"
#include "multiprocessing/pool/tasks/results.hpp"
#include "multiprocessing/process/log_settings.hpp"

namespace multiprocessing::detail {

/// Bytes of items and results that a part has at most, unless one chunk has more: rank 0 keeps a
/// copy of what is on its way.
constexpr std::uint64_t largest_part = 64u << 20;

inline std::uint64_t NodeCrew::Work::waiting_chunks() const noexcept {
    std::uint64_t chunks = 0;
    for (const ChunkRange& range : waiting) chunks += range.size();
    return chunks;
}

// --- The pool opens

inline std::shared_ptr<NodeCrew> NodeCrew::open(const std::shared_ptr<Desk>& desk,
                                                const mpi::PoolOptions& options,
                                                std::span<const std::byte> initializer) {
    auto crew = std::make_shared<NodeCrew>(desk, options);
    crew->courier_.open(crew->arrivals(), crew);
    std::unique_lock lock(desk->mutex);
    if (desk->finishing) throw RuntimeError("the program is ending: it has no nodes any more");
    crew->number_ = ++desk->last_pool;
    crew->seats_.resize(desk->nodes.size());
    desk->crews[crew->number_] = crew;
    for (std::size_t rank = 1; rank < desk->nodes.size(); ++rank) {
        if (desk->nodes[rank].lost) continue;
        Letter letter(LetterKind::open, crew->number_);
        save_options(letter.content(), options);
        save_logging_for_other_machine(letter.content());
        letter.content().write(initializer.data(), initializer.size());
        desk->outgoing.emplace_back(static_cast<int>(rank), std::move(letter));
        crew->seats_[rank].phase = Seat::opening;
    }
    desk->stir();
    desk->changed.wait(lock, [&] {
        return std::ranges::none_of(crew->seats_,
                                    [](const Seat& seat) { return seat.phase == Seat::opening; });
    });
    std::exception_ptr error = crew->opening_error_;
    if (!error && !crew->has_open_seats()) {
        error = std::make_exception_ptr(BrokenProcessPool("no node is left: all ranks but 0 are "
                                                          "lost. Start the program again"));
    }
    if (!error) return crew;
    crew->break_off(error);
    lock.unlock();
    crew->end();
    std::rethrow_exception(error);
}

inline NodeCrew::NodeCrew(std::shared_ptr<Desk> desk, const mpi::PoolOptions& options)
    : desk_(std::move(desk)), options_(options) {}

/// The content of LetterKind::opened: how many processes the node has, or 0 and what was thrown.
inline void NodeCrew::note_opened(int rank, InputArchive& archive) {
    Seat& seat = seats_[static_cast<std::size_t>(rank)];
    if (seat.phase != Seat::opening) return;
    seat.processes = archive.read<int>();
    if (seat.processes == 0) {
        opening_error_ = load_exception(archive);
        seat.phase = Seat::ended;
    } else {
        seat.phase = Seat::in_use;
        seat.remembers = true;
        workers_.fetch_add(static_cast<std::uint32_t>(seat.processes));
    }
    desk_->changed.notify_all();
}

// --- Calls come in

inline std::shared_ptr<PendingBatch> NodeCrew::submit(BatchOwner batch, const PlainSizes& sizes,
                                                      const SubmitOptions& how) {
    check_owner();
    refuse_handles(*batch);
    const auto work = std::make_shared<Work>();
    work->call = std::make_shared<PendingBatch>(std::move(batch), how.wish.priority);
    work->sizes = sizes;
    work->wish = {how.wish.priority, 0, travelling_seconds(how.wish.timeout)};
    PendingBatch& call = *work->call;
    work->waiting.push_back({0, call.chunk_count()});
    {
        const std::lock_guard guard(desk_->mutex);
        check_running_locked(how.of_stream);
        call.set_canceller(weak_from_this());
        call->serial = ++last_serial_;
        work->wish.call = static_cast<std::uint32_t>(call->serial);
        history_.note_call(call->serial, call->function, how.of_stream);
        call->keep_errors = how.of_stream ? 1 : 0;
        call->notice.store(how.of_stream ? Batch::of_each_chunk : Batch::nobody);
        works_[call->serial] = work;
        list(work);
    }
    desk_->stir();
    return work->call;
}

inline NodeCrew::Place NodeCrew::place_of(const Work& work) noexcept {
    return {-std::int64_t{work.wish.priority}, work.call->order()};
}
inline void NodeCrew::list(const std::shared_ptr<Work>& work) { waiting_[place_of(*work)] = work; }
inline void NodeCrew::unlist(const Work& work) noexcept { waiting_.erase(place_of(work)); }

inline void NodeCrew::check_owner() const {
    if (!is_owner()) throw ValueError("Pool not running in this process: it is another's");
}

inline void NodeCrew::check_running_locked(bool of_stream) const {
    if (broken_) std::rethrow_exception(broken_);
    if (of_stream && terminated_) throw CancelledError();
    if (terminated_ || (closed_ && !of_stream)) throw ValueError("Pool not running");
}

inline void NodeCrew::check_running() const {
    check_owner();
    const std::lock_guard guard(desk_->mutex);
    check_running_locked(false);
}

inline void NodeCrew::add_stream(const std::shared_ptr<StreamFeed>& feed) {
    check_owner();
    const std::lock_guard guard(desk_->mutex);
    check_running_locked(false);
    streams_.add(feed);
    feed->set_registration({this, [self = shared_from_this()](void*) {
                                if (!self->is_owner()) return;  // a forked child's copy
                                const std::lock_guard lock(self->desk_->mutex);
                                if (self->streams_.remove()) self->end_if_done();
                            }});
}

inline bool NodeCrew::cancel(PendingBatch& call, bool kill_running) {
    check_owner();
    {
        const std::lock_guard guard(desk_->mutex);
        if (call.is_over()) return call.is_cancelled();
        const bool any_untaken = call.cancel_untaken();
        if (!any_untaken && !kill_running) return false;
        call.give_up_as_cancelled();
        for (const auto& [number, part] : parts_) {
            if (part.work->call.get() != &call) continue;
            post(part.rank, LetterKind::cancel, number, kill_running);
        }
        const auto found = works_.find(call.order());
        if (found != works_.end()) {
            unlist(*found->second);
            works_.erase(found);
        }
        end_if_done();
    }
    note_withdrawn();
    desk_->stir();
    return call.is_cancelled();
}

inline void NodeCrew::cancel_untaken() {
    check_owner();
    std::vector<std::shared_ptr<StreamFeed>> feeds;
    {
        const std::lock_guard guard(desk_->mutex);
        feeds = streams_.feeds();
        for (auto each = works_.begin(); each != works_.end();) {
            const auto work = each->second;
            if (work->call->is_started() || !work->call->cancel_untaken()) {
                ++each;
                continue;
            }
            work->call->give_up_as_cancelled();
            unlist(*work);
            each = works_.erase(each);
        }
        end_if_done();
    }
    note_withdrawn();
    desk_->stir();
    for (const auto& feed : feeds) feed->cut(std::make_exception_ptr(CancelledError()));
}

/// Tells those who wait for calls that some were given up.
inline void NodeCrew::note_withdrawn() noexcept {
    withdrawals_.fetch_add(1);
    arrivals().change();
    courier_.look_at_all();
}

inline void NodeCrew::resize(std::uint32_t workers) {
    check_owner();
    const std::lock_guard guard(desk_->mutex);
    check_running_locked(false);
    for (std::size_t rank = 1; rank < seats_.size(); ++rank) {
        Seat& seat = seats_[rank];
        if (seat.phase != Seat::in_use) continue;
        Letter letter(LetterKind::resize, number_);
        letter.content()(workers);
        desk_->outgoing.emplace_back(static_cast<int>(rank), std::move(letter));
        workers_.fetch_sub(static_cast<std::uint32_t>(seat.processes));
        workers_.fetch_add(workers);
        seat.processes = static_cast<int>(workers);
    }
    desk_->stir();
}

/// Leaves a letter for the master's thread to send. Its content is one flag.
inline void NodeCrew::post(int rank, LetterKind kind, std::uint64_t number, bool flag) {
    Letter letter(kind, number_, number);
    letter.content()(flag);
    desk_->outgoing.emplace_back(rank, std::move(letter));
}

// --- Parts go out

inline void NodeCrew::hand_out(Mailbox& mailbox) {
    while (!waiting_.empty()) {
        const auto work = waiting_.begin()->second;
        const int rank = freest_node();
        if (rank < 0) return;
        try {
            send_part(mailbox, work, rank);
        } catch (...) {  // no memory for the letter
            give_up(*work, std::current_exception());
        }
    }
}

/// Returns the rank of the node that holds the fewest chunks for each worker; -1 when all hold as
/// many as they should.
inline int NodeCrew::freest_node() const noexcept {
    int freest = -1;
    double least = options_.ahead;
    for (std::size_t rank = 1; rank < seats_.size(); ++rank) {
        const Seat& seat = seats_[rank];
        if (seat.phase != Seat::in_use) continue;
        const double held = static_cast<double>(seat.held) / seat.processes;
        if (held >= least) continue;
        least = held;
        freest = static_cast<int>(rank);
    }
    return freest;
}

/// Takes the next chunks of a call for a node.
inline ChunkRange NodeCrew::take_range(Work& work, int rank) {
    ChunkRange& first = work.waiting.front();
    const auto processes =
        static_cast<std::uint64_t>(seats_[static_cast<std::size_t>(rank)].processes);
    const std::uint64_t share = work.waiting_chunks() * processes / (4 * std::uint64_t{workers_});
    ChunkRange taken{first.begin, first.begin + 1};
    Batch& batch = **work.call;
    if (share > 1) {
        const auto count =
            static_cast<std::uint32_t>((std::min)(share, std::uint64_t{first.size()}));
        taken.end = first.begin + count;
    }
    // Halved until it fits: chunks of one call are mostly alike.
    while (taken.size() > 1 && bytes_of(batch, work.sizes, taken) > largest_part) {
        taken.end = taken.begin + taken.size() / 2;
    }
    first.begin = taken.end;
    if (first.begin == first.end) work.waiting.pop_front();
    return taken;
}

inline void NodeCrew::send_part(Mailbox& mailbox, const std::shared_ptr<Work>& work, int rank) {
    const ChunkRange range = take_range(*work, rank);
    if (work->waiting.empty()) unlist(*work);
    Batch& batch = **work->call;
    const std::uint64_t number = ++last_part_;
    Letter letter(LetterKind::part, number_, number);
    write_part(letter.content(), batch, work->sizes, range, work->wish);
    parts_.emplace(number, Part{work, range, range.size(), rank});
    seats_[static_cast<std::size_t>(rank)].held += range.size();
    for (std::uint32_t chunk = range.begin; chunk < range.end; ++chunk) {
        batch.chunks()[chunk].state.store(static_cast<std::uint32_t>(rank) << 2 | Chunk::taken);
    }
    mailbox.send(rank, std::move(letter));
}

// --- Results come back

/// The content of LetterKind::results: whether the part is over, how many chunks follow, and for
/// each its place in the part and what write_outcome has written.
inline void NodeCrew::take_results(const ReceivedLetter& letter) {
    const auto found = parts_.find(letter.head.number);
    if (found == parts_.end()) return;
    Part& part = found->second;
    Work& work = *part.work;
    const auto kept = part.work;  // note_progress may drop it
    InputArchive archive(letter.content);
    const bool is_over = archive.read<bool>();
    const auto count = archive.read<std::uint32_t>();
    try {
        for (std::uint32_t i = 0; i < count && !work.call->is_given_up(); ++i) {
            const auto place = archive.read<std::uint32_t>();
            if (place >= part.range.size()) throw_damaged("it tells of chunks that there are not");
            const std::uint32_t chunk = part.range.begin + place;
            read_outcome(archive, **work.call, chunk, work.sizes.result);
            finish_chunk_of(part, chunk);
        }
    } catch (...) {  // no memory for the results
        give_up(work, std::current_exception());
    }
    if (is_over) {
        seats_[static_cast<std::size_t>(part.rank)].held -= part.unfinished;
        parts_.erase(found);
    }
    note_progress(work);
}

inline void NodeCrew::finish_chunk_of(Part& part, std::uint32_t chunk) {
    Batch& batch = **part.work->call;
    batch.arrival.store(ticks(), std::memory_order_relaxed);
    // The one store that commits the chunk, as in finish_chunk.
    batch.chunks()[chunk].state.store(static_cast<std::uint32_t>(part.rank) << 2 | Chunk::finished);
    --part.unfinished;
    --seats_[static_cast<std::size_t>(part.rank)].held;
}

/// Tells those who wait for a call that some of it is done.
inline void NodeCrew::note_progress(Work& work) {
    Batch& batch = **work.call;
    const bool is_over = work.call->is_over();
    if (disordered_) withdrawals_.fetch_add(1);
    if (is_over) works_.erase(work.call->order());
    if (is_over) announce(batch);
    // seq_cst, after announce: pairs with PendingBatch::ask_for_notice.
    const std::uint32_t notice = batch.notice.load();
    if (notice == Batch::of_each_chunk || (notice == Batch::of_the_end && is_over)) {
        arrivals().change();
    }
    if (is_over) end_if_done();
}

/// A node cannot run a part at all, for want of memory: the call ends with its error.
inline void NodeCrew::take_refusal(const ReceivedLetter& letter) {
    const auto found = parts_.find(letter.head.number);
    if (found == parts_.end()) return;
    const Part part = found->second;
    parts_.erase(found);
    seats_[static_cast<std::size_t>(part.rank)].held -= part.unfinished;
    InputArchive archive(letter.content);
    give_up(*part.work, load_exception(archive));
}

inline void NodeCrew::give_up(Work& work, const std::exception_ptr& error) {
    const auto call = work.call;
    const auto kept = works_.extract(call->order());
    unlist(work);
    call->give_up(error);
    for (const auto& [number, part] : parts_) {
        if (part.work->call == call) post(part.rank, LetterKind::cancel, number, true);
    }
    note_withdrawn();
    end_if_done();
}

// --- Nodes are lost

inline void NodeCrew::lose(int rank) {
    Seat& seat = seats_[static_cast<std::size_t>(rank)];
    if (seat.phase == Seat::in_use) workers_.fetch_sub(static_cast<std::uint32_t>(seat.processes));
    seat.phase = Seat::ended;
    seat.held = 0;
    stop_waiting_for(rank);
    std::vector<std::shared_ptr<Work>> touched;
    for (auto part = parts_.begin(); part != parts_.end();) {
        if (part->second.rank != rank) {
            ++part;
            continue;
        }
        for (std::uint32_t chunk = part->second.range.begin; chunk < part->second.range.end;
             ++chunk) {
            settle_lost_chunk(part->second, chunk);
        }
        touched.push_back(part->second.work);
        part = parts_.erase(part);
    }
    const bool any_left = has_open_seats();
    for (const auto& work : touched) note_progress(*work);
    desk_->changed.notify_all();
    const bool is_opening =
        std::ranges::any_of(seats_, [](const Seat& other) { return other.phase == Seat::opening; });
    if (any_left || is_opening || ending_) return;
    // Calls that nobody can run any more end with the loss; later ones are told that none is left.
    break_off(loss_of(rank, {}, "the last of the pool's tasks"));
    broken_ = std::make_exception_ptr(
        BrokenProcessPool("no node of the pool is left: all of them are lost"));
}

/// Decides on a chunk that a lost node had: it is run again, or its items count as lost.
inline void NodeCrew::settle_lost_chunk(Part& part, std::uint32_t index) {
    Work& work = *part.work;
    Batch& batch = **work.call;
    Chunk& chunk = batch.chunks()[index];
    if (Chunk::phase_of(chunk.state.load()) != Chunk::taken || work.call->is_given_up()) return;
    if (++chunk.attempts <= static_cast<std::uint32_t>(options_.retries)) {
        chunk.state.store(Chunk::pending);
        disordered_ = true;
        history_.note_retries(1);
        if (!work.waiting.empty() && work.waiting.front().end == index) {
            work.waiting.front().end = index + 1;
        } else {
            work.waiting.push_front({index, index + 1});
        }
        list(part.work);
        return;
    }
    const std::uint64_t item = std::uint64_t{index} * batch.chunk_size;
    const LostTask task{batch.first_item + item, chunk.attempts, LossReason::exit};
    try {
        record_error(batch, chunk, 0,
                     loss_of(part.rank, task, describe_task(batch, item, chunk.attempts)),
                     batch.size_of(index), false);
    } catch (...) {  // no memory for it
        return give_up(work, std::current_exception());
    }
    batch.arrival.store(ticks(), std::memory_order_relaxed);
    chunk.state.store(static_cast<std::uint32_t>(part.rank) << 2 | Chunk::finished);
}

inline std::exception_ptr NodeCrew::loss_of(int rank, const LostTask& task,
                                            const std::string& task_text) const {
    const std::string& host = desk_->nodes[static_cast<std::size_t>(rank)].host;
    return std::make_exception_ptr(
        NodeLost(joined({"the node of rank ", rank, " on ", host, " was lost while it had ",
                         task_text, ": its process was killed, or says nothing any more"}),
                 rank, host, task));
}

inline bool NodeCrew::has_open_seats() const noexcept {
    return std::ranges::any_of(seats_, [](const Seat& seat) { return seat.phase == Seat::in_use; });
}

// --- Letters come in

inline void NodeCrew::take_letter(const ReceivedLetter& letter) {
    InputArchive archive(letter.content);
    switch (letter.head.kind) {
        case LetterKind::opened:
            return note_opened(letter.from, archive);
        case LetterKind::results:
            return take_results(letter);
        case LetterKind::refused:
            return take_refusal(letter);
        case LetterKind::broken:
            if (!broken_ && !terminated_) break_off(load_exception(archive));
            return;
        case LetterKind::ended:
            seats_[static_cast<std::size_t>(letter.from)].phase = Seat::ended;
            desk_->changed.notify_all();
            return;
        case LetterKind::told:
            questions_.note_answer(letter.head.number, letter.from,
                                   desk_->nodes[static_cast<std::size_t>(letter.from)].host,
                                   letter.content);
            desk_->changed.notify_all();
            return;
        default:
            return;
    }
}

// --- The pool ends

inline void NodeCrew::break_off(const std::exception_ptr& error) {
    if (error) broken_ = error;
    terminated_ = true;
    const auto works = std::move(works_);
    works_.clear();
    waiting_.clear();
    for (const auto& [serial, work] : works) {
        if (error) {
            work->call->give_up(error);
        } else {
            work->call->give_up_as_cancelled();
        }
    }
    end_on_nodes(true);
    note_withdrawn();
}

/// Lets the nodes' pools end when the pool is closed and nothing is left to do.
inline void NodeCrew::end_if_done() {
    if (closed_ && works_.empty() && streams_.is_empty()) end_on_nodes(false);
}

inline void NodeCrew::end_on_nodes(bool at_once) {
    if (std::exchange(ending_, true) && !at_once) return;
    for (std::size_t rank = 1; rank < seats_.size(); ++rank) {
        if (seats_[rank].phase == Seat::ended) continue;
        post(static_cast<int>(rank), LetterKind::end, 0, at_once);
    }
    desk_->changed.notify_all();
    desk_->stir();
}

inline void NodeCrew::let_nodes_go() {
    if (!terminated_) break_off(nullptr);
    for (Seat& seat : seats_) seat.phase = Seat::ended;
    for (std::size_t rank = 1; rank < seats_.size(); ++rank) {
        stop_waiting_for(static_cast<int>(rank));
    }
    workers_ = 0;
    desk_->changed.notify_all();
}

inline void NodeCrew::close() {
    check_owner();
    const std::lock_guard guard(desk_->mutex);
    closed_ = true;
    end_if_done();
}

inline void NodeCrew::terminate() {
    const auto self = shared_from_this();  // a callback may destroy the pool
    check_owner();
    {
        const std::lock_guard guard(desk_->mutex);
        if (!terminated_) break_off(nullptr);
    }
    leave(false);
}

inline void NodeCrew::join() {
    const auto self = shared_from_this();
    check_owner();
    {
        const std::lock_guard guard(desk_->mutex);
        if (!closed_ && !terminated_) throw ValueError("Pool is still running");
    }
    if (courier_.is_current()) {
        throw RuntimeError(
            "a callback cannot join its own pool: it would wait for its own end. It may close "
            "or terminate the pool; let another thread join it");
    }
    feed_streams();
    leave(false);
}

inline void NodeCrew::end() {
    if (!is_owner()) return;
    {
        const std::lock_guard guard(desk_->mutex);
        if (!terminated_) break_off(nullptr);
    }
    leave_for_good();
}

inline void NodeCrew::finish() {
    const auto self = shared_from_this();
    if (!is_owner()) return;
    close();
    feed_streams();
    leave_for_good();
}

/// Waits as leave does; then nobody can ask for anything any more.
inline void NodeCrew::leave_for_good() {
    leave(true);
    const std::lock_guard guard(desk_->mutex);
    if (desk_->crews.erase(number_) == 0) return;
    for (std::size_t rank = 1; rank < seats_.size(); ++rank) {
        if (!std::exchange(seats_[rank].remembers, false)) continue;
        desk_->outgoing.emplace_back(static_cast<int>(rank), Letter(LetterKind::forget, number_));
    }
    desk_->stir();
}

// --- What the workers have done

inline GatheredLogs NodeCrew::gather(WhichRecords which) {
    if (!is_owner()) return GatheredLogs(History(0), {});  // the rest may have been changing
    std::unique_lock lock(desk_->mutex);
    std::set<int> ranks;
    for (std::size_t rank = 1; rank < seats_.size(); ++rank) {
        if (seats_[rank].remembers) ranks.insert(static_cast<int>(rank));
    }
    const std::uint64_t number = questions_.ask(ranks);
    for (const int rank : ranks) {
        post(rank, LetterKind::ask, number, which == WhichRecords::latest);
    }
    desk_->stir();
    desk_->changed.wait(lock, [&] { return questions_.is_answered(number); });
    const auto told = questions_.take_answers(number);
    const History calls = history_;
    lock.unlock();
    return GatheredLogs(calls, told);
}

/// A node tells nothing any more.
inline void NodeCrew::stop_waiting_for(int rank) {
    seats_[static_cast<std::size_t>(rank)].remembers = false;
    questions_.stop_waiting_for(rank);
    desk_->changed.notify_all();
}

inline void NodeCrew::feed_streams() {
    for (;;) {
        std::vector<std::shared_ptr<StreamFeed>> feeds;
        {
            const std::lock_guard guard(desk_->mutex);
            if (terminated_ || streams_.is_empty()) return;
            feeds = streams_.feeds();
        }
        for (const auto& feed : feeds) feed->finish_input();
    }
}

/// Waits until no node has the pool any more, and the callbacks have run; in a callback, not for
/// the other callbacks. @param deliver_here whether a callback that ends the pool runs these itself
inline void NodeCrew::leave(bool deliver_here) {
    {
        std::unique_lock lock(desk_->mutex);
        desk_->changed.wait(lock, [this] {
            return ending_ && std::ranges::all_of(seats_, [](const Seat& seat) {
                       return seat.phase == Seat::ended;
                   });
        });
    }
    if (!courier_.is_current()) {
        courier_.drain();
        courier_.wait();
    } else if (deliver_here) {
        courier_.drain_here();
    } else {
        courier_.drain();
    }
}

inline std::uint32_t NodeCrew::worker_count() const noexcept {
    return (std::max)(workers_.load(), 1u);
}

inline const char* NodeCrew::state_name() const noexcept {
    if (!is_owner()) return "INHERITED";
    return terminated_ ? "TERMINATE" : closed_ ? "CLOSE" : "RUN";
}

inline std::vector<mpi::Node> NodeCrew::nodes() const {
    check_owner();
    std::vector<mpi::Node> nodes;
    const std::lock_guard guard(desk_->mutex);
    for (std::size_t rank = 1; rank < seats_.size(); ++rank) {
        const KnownNode& node = desk_->nodes[rank];
        nodes.push_back({static_cast<int>(rank), node.host, seats_[rank].processes, node.lost});
    }
    return nodes;
}

}  // namespace multiprocessing::detail
