// tests/mpi/simulation/cluster.hpp
//
// A cluster that is simulated, and rank 0 that is not: the crew, the letters and the calls are the
// library's, only the nodes and the network between are made up. Time is simulated, too. What rank
// 0 pays for a message is as measured, and what its own code takes is measured while it runs.
// Include this before anything that includes an MPI library's header. SPDX-License-Identifier: MIT
#pragma once

#include <ctime>

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <queue>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "tests/mpi/simulation/mpi.h"

#include <multiprocessing/mpi/backend.hpp>
#include <multiprocessing/mpi/crew.hpp>
#include <multiprocessing/pool/calls/interface.hpp>

namespace simulation {

namespace mp = multiprocessing;
namespace detail = multiprocessing::detail;

/// Times are nanoseconds.
constexpr double second = 1e9;
/// What a message costs rank 0 over TCP: 22 to 45 µs were measured.
constexpr double message_cost = 40e3;
/// How long a message is under way.
constexpr double latency = 100e3;

struct Setting {
    int nodes;
    int workers;  // of a node
    double task;  // how long a task takes on average; they differ by half of it
    int tasks;    // for each worker
};

/// Returns the square of a number: what the simulated workers return.
inline int square(int x) {
    return static_cast<int>(static_cast<unsigned>(x) * static_cast<unsigned>(x));
}

/// The processor's time that this thread has taken.
inline double own_time() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

/// The nodes and the network.
class Cluster final : public Network {
  public:
    explicit Cluster(const Setting& setting)
        : setting_(setting), nodes_(static_cast<std::size_t>(setting.nodes) + 1) {
        for (Node& node : nodes_) node.free_workers = setting.workers;
        total_ = std::uint64_t(setting.nodes) * std::uint64_t(setting.workers * setting.tasks);
    }

    // What rank 0 does with the network.

    void take(Message message) override {
        clock_ += message_cost;
        at(clock_ + latency, {Event::letter, message.peer, 0, 0, std::move(message)});
    }
    Message* next(int peer, int tag) override {
        for (Arrival& arrival : inbox_) {
            if (arrival.time > clock_) return nullptr;
            if (arrival.message.tag != tag) continue;
            if (peer >= 0 && arrival.message.peer != peer) continue;
            if (tag == detail::letter_tag) clock_ += message_cost;
            return &arrival.message;
        }
        return nullptr;
    }
    void drop(Message* message) override {
        // Mostly the first one.
        for (auto arrival = inbox_.begin();; ++arrival) {
            if (&arrival->message != message) continue;
            inbox_.erase(arrival);
            return;
        }
    }

    /// Rank 0 has worked for so long.
    void spend(double time) { clock_ += time; }
    /// Lets the nodes do what they do until now.
    void catch_up() {
        while (!events_.empty() && events_.begin()->first <= clock_) happen();
    }
    /// Rank 0 waits until something happens. @returns whether anything will
    bool wait() {
        if (!inbox_.empty() && inbox_.front().time > clock_) {
            clock_ = inbox_.front().time;
        } else if (!events_.empty()) {
            clock_ = (std::max)(clock_, events_.begin()->first);
        } else {
            return false;
        }
        return true;
    }

    /// Returns which share of the workers was busy, on average, from the first letter of work on
    /// until rank 0 had no more of it.
    [[nodiscard]] double busy_share() const {
        return busy_until_all_sent_ / (all_sent_ - begin_) / setting_.nodes / setting_.workers;
    }
    [[nodiscard]] std::uint64_t letters() const noexcept { return letters_; }
    [[nodiscard]] double seconds() const noexcept { return (all_sent_ - begin_) / second; }

  private:
    struct Event {
        enum Kind { letter, finish, tell } kind;
        int node;
        std::uint64_t part;
        std::uint32_t chunk;
        Message message;
    };
    struct Arrival {
        double time;
        Message message;
    };
    struct Part {
        std::uint64_t pool;
        detail::ReceivedPart received;
        std::uint32_t unfinished;
        std::vector<std::uint32_t> untold;
        double last_told = -second;
        bool tells_later = false;
    };
    struct Node {
        int free_workers = 0;
        std::deque<std::pair<std::uint64_t, std::uint32_t>> ready;  // part and chunk
        std::map<std::uint64_t, Part> parts;
        detail::LetterHead large{};  // the head of a letter whose pieces are to come
        std::vector<std::byte> pieces;
    };

    void at(double time, Event event) { events_.emplace(time, std::move(event)); }

    void happen() {
        auto entry = events_.extract(events_.begin());
        const double now = entry.key();
        Event& event = entry.mapped();
        busy_time_ += static_cast<double>(busy_) * (now - last_change_);
        last_change_ = now;
        Node& node = nodes_[static_cast<std::size_t>(event.node)];
        switch (event.kind) {
            case Event::letter:
                return receive(now, event.node, node, event.message);
            case Event::finish:
                return finish(now, event.node, node, event.part, event.chunk);
            case Event::tell:
                if (node.parts.contains(event.part)) tell(now, event.node, node, event.part);
                return;
        }
    }

    void receive(double now, int rank, Node& node, const Message& message) {
        const std::span bytes(message.bytes);
        if (message.tag == detail::piece_tag) {
            node.pieces.insert(node.pieces.end(), bytes.begin(), bytes.end());
            if (node.pieces.size() < node.large.size) return;
            const std::vector<std::byte> content = std::exchange(node.pieces, {});
            return read(now, rank, node, node.large, content);
        }
        detail::LetterHead head{};
        std::memcpy(&head, bytes.data(), sizeof head);
        if (bytes.size() == sizeof head + head.size) {
            return read(now, rank, node, head, bytes.subspan(sizeof head));
        }
        node.large = head;
    }

    void read(double now, int rank, Node& node, const detail::LetterHead& head,
              std::span<const std::byte> content) {
        if (head.kind == detail::LetterKind::open) {
            detail::Letter letter(detail::LetterKind::opened, head.pool);
            letter.content()(setting_.workers);
            send(now, rank, std::move(letter));
        } else if (head.kind == detail::LetterKind::end) {
            send(now, rank, detail::Letter(detail::LetterKind::ended, head.pool));
        } else if (head.kind == detail::LetterKind::part) {
            take_part(now, rank, node, head, content);
        }
    }

    void take_part(double now, int rank, Node& node, const detail::LetterHead& head,
                   std::span<const std::byte> content) {
        if (sent_ == 0) {
            begin_ = now;
            busy_time_ = 0;
        }
        detail::ReceivedPart received = detail::read_part(content);
        const std::uint32_t chunks = received.batch->chunk_count();
        for (std::uint32_t chunk = 0; chunk < chunks; ++chunk) {
            node.ready.emplace_back(head.number, chunk);
        }
        node.parts.emplace(head.number, Part{head.pool, std::move(received), chunks, {}});
        start(now, rank, node);
        sent_ += chunks;
        if (sent_ == total_) {
            all_sent_ = now;
            busy_until_all_sent_ = busy_time_;
        }
    }

    /// Gives the workers that are free something to do.
    void start(double now, int rank, Node& node) {
        for (; node.free_workers > 0 && !node.ready.empty(); --node.free_workers) {
            const auto [part, chunk] = node.ready.front();
            node.ready.pop_front();
            ++busy_;
            random_ = random_ * 6364136223846793005u + 1442695040888963407u;
            const double factor = 0.5 + static_cast<double>(random_ >> 11) * 0x1p-53;
            at(now + setting_.task * factor, {Event::finish, rank, part, chunk, {}});
        }
    }

    void finish(double now, int rank, Node& node, std::uint64_t number, std::uint32_t chunk) {
        Part& part = node.parts.at(number);
        detail::Batch& batch = *part.received.batch;
        const auto* const items = batch.at<const int>(batch.items);
        batch.at<int>(batch.results)[chunk] = square(items[chunk]);
        part.untold.push_back(chunk);
        --part.unfinished;
        --busy_;
        ++node.free_workers;
        start(now, rank, node);
        const auto rest = static_cast<double>(detail::between_results(setting_.nodes + 1));
        if (part.unfinished == 0 || now - part.last_told >= rest) {
            tell(now, rank, node, number);
        } else if (!std::exchange(part.tells_later, true)) {
            at(part.last_told + rest, {Event::tell, rank, number, 0, {}});
        }
    }

    /// As NodeLoop::tell_of_part.
    void tell(double now, int rank, Node& node, std::uint64_t number) {
        Part& part = node.parts.at(number);
        part.tells_later = false;
        if (part.untold.empty()) return;
        detail::Letter letter(detail::LetterKind::results, part.pool, number);
        letter.content()(part.unfinished == 0, static_cast<std::uint32_t>(part.untold.size()));
        for (const std::uint32_t chunk : part.untold) {
            letter.content()(chunk);
            detail::write_outcome(letter.content(), *part.received.batch, chunk,
                                  part.received.result_size, "");
        }
        part.untold.clear();
        part.last_told = now;
        send(now, rank, std::move(letter));
        if (part.unfinished == 0) node.parts.erase(number);
    }

    void send(double now, int rank, detail::Letter letter) {
        const auto bytes = letter.seal();
        ++letters_;
        const auto post = [&](std::span<const std::byte> some, int tag) {
            inbox_.push_back({now + latency, {rank, tag, {some.begin(), some.end()}}});
        };
        if (bytes.size() <= detail::small_letter) return post(bytes, detail::letter_tag);
        post(bytes.first(sizeof(detail::LetterHead)), detail::letter_tag);
        post(bytes.subspan(sizeof(detail::LetterHead)), detail::piece_tag);
    }

    const Setting setting_;
    std::vector<Node> nodes_;              // by rank
    std::multimap<double, Event> events_;  // by time
    std::deque<Arrival> inbox_;            // of rank 0, in the order of time
    double clock_ = 0;                     // of rank 0
    double begin_ = 0;                     // when the first part came to a node
    double all_sent_ = 0;                  // when the last one did
    double last_change_ = 0;
    double busy_time_ = 0;  // of all workers
    double busy_until_all_sent_ = 0;
    std::uint64_t busy_ = 0;   // workers
    std::uint64_t total_ = 0;  // chunks
    std::uint64_t sent_ = 0;
    std::uint64_t letters_ = 0;
    std::uint64_t random_ = 26;
};

/// A pool of nodes without a program of ranks.
class SimulatedPool : public detail::PoolInterface<detail::NodeBackend> {
  public:
    explicit SimulatedPool(const std::shared_ptr<detail::Desk>& desk) {
        backend_.open(detail::NodeCrew::open(desk, {}, {}));
    }
    SimulatedPool(const SimulatedPool&) = delete;
    SimulatedPool& operator=(const SimulatedPool&) = delete;
    ~SimulatedPool() { backend_.engine()->end(); }
};

/// The master of a simulated cluster: what Master::step does, without its thread, beats and losses.
class SimulatedMaster {
  public:
    explicit SimulatedMaster(Cluster& cluster, int nodes)
        : cluster_(cluster), mailbox_(0, nodes + 1) {
        desk_->nodes.resize(static_cast<std::size_t>(nodes) + 1);
    }

    [[nodiscard]] const std::shared_ptr<detail::Desk>& desk() const noexcept { return desk_; }

    /// Works until `is_done` says so.
    void run(const std::atomic<bool>& is_done) {
        while (!is_done.load()) {
            cluster_.catch_up();
            const double before = own_time();
            const bool moved = step();
            cluster_.spend(own_time() - before);
            if (!moved && !cluster_.wait()) std::this_thread::yield();
        }
    }

  private:
    bool step() {
        bool moved = mailbox_.poll([this](const detail::ReceivedLetter& letter) {
            const std::lock_guard guard(desk_->mutex);
            const auto crew = desk_->crews.at(letter.head.pool).lock();
            if (crew) crew->take_letter(letter);
        });
        const std::lock_guard guard(desk_->mutex);
        for (auto& outgoing = desk_->outgoing; !outgoing.empty(); outgoing.pop_front()) {
            mailbox_.send(outgoing.front().first, std::move(outgoing.front().second));
            moved = true;
        }
        for (const auto& [number, weak] : desk_->crews) {
            if (const auto crew = weak.lock()) crew->hand_out(mailbox_);
        }
        return moved;
    }

    Cluster& cluster_;
    detail::Mailbox mailbox_;
    const std::shared_ptr<detail::Desk> desk_ = std::make_shared<detail::Desk>();
};

struct Outcome {
    double busy_share;
    double seconds;
    std::uint64_t letters;  // from nodes
    bool is_right;          // whether all results are
};

/// Runs one call of map on a cluster.
inline Outcome simulate(const Setting& setting) {
    Cluster cluster(setting);
    network() = &cluster;
    SimulatedMaster master(cluster, setting.nodes);
    std::atomic<bool> is_done{false};
    bool is_right = true;
    std::thread program([&] {
        std::vector<int> numbers(static_cast<std::size_t>(setting.nodes * setting.workers) *
                                 static_cast<std::size_t>(setting.tasks));
        std::iota(numbers.begin(), numbers.end(), 0);
        {
            SimulatedPool pool(master.desk());
            const std::vector<int> squares = pool.map(square, numbers, 1);
            for (const int number : numbers) {
                is_right &= squares[static_cast<std::size_t>(number)] == square(number);
            }
        }
        is_done.store(true);
    });
    master.run(is_done);
    program.join();
    return {cluster.busy_share(), cluster.seconds(), cluster.letters(), is_right};
}

}  // namespace simulation
