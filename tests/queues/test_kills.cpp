// Processes that are killed while they put and take: at each instant that matters, one by one, and
// at random moments in a storm. SPDX-License-Identifier: MIT
// CTEST: LABELS storm
#include <multiprocessing/queues.hpp>

#include <algorithm>
#include <cstdint>

#include "tests/synchronize/support.hpp"

using support::Watchdog;

// --- one instant at a time ---

namespace {

namespace mpd = mp::detail;

enum class Instant {
    writer_locked,      // with the lock, nothing written
    writer_filled,      // the content written, the head not
    writer_committed,   // the head written, the position not
    writer_linked,      // a link to a new chunk written, nothing else
    writer_in_between,  // the writer's chunk changed, its position not
    reader_locked,      // with the lock, nothing taken
    reader_linked       // the reader's position in the next chunk, its chunk the last one
};

mpd::QueueState& state_of(const mp::Queue<int>& queue) {
    return static_cast<mpd::QueueState&>(*queue.shared_handle().object());
}

/// Does what put and get do, up to that instant, and goes no further.
void stop_at(mp::Queue<int> queue, Instant instant, mp::Event there) {
    mpd::QueueState& state = state_of(queue);
    const bool reads = instant >= Instant::reader_locked;
    (reads ? state.reader : state.writer).lock.acquire(mpd::Deadline(mp::Timeout()));
    const mpd::Position at = reads ? state.reader.at() : mpd::settle(state.writer);
    const mpd::Record record(at.place());
    if (instant == Instant::writer_filled || instant == Instant::writer_committed) {
        const int item = 77;
        record.fill(&item, sizeof(item));
        mpd::Record(record.behind(sizeof(item))).clear();
        if (instant == Instant::writer_committed) {
            record.commit(mpd::RecordHead::make(mpd::RecordKind::bytes, sizeof(item)));
        }
    } else if (instant == Instant::writer_linked || instant == Instant::writer_in_between) {
        const auto next = mpd::RecordChunk::make(mpd::medium_chunk);
        const mpd::Offset target = next.offset();
        record.fill(&target, sizeof(target));
        record.commit(mpd::RecordHead::make(mpd::RecordKind::link, sizeof(target)));
        if (instant == Instant::writer_in_between) state.writer.chunk.store(target);
    } else if (instant == Instant::reader_linked) {
        const mpd::RecordChunk next(record.target());
        state.reader.move_to(mpd::Position(next.first(), at.number()));
    }
    there.set();
    support::sleep_on();
}

}  // namespace

TEMPLATE_TEST_CASE("Who is killed inside of put or get leaves the queue in order", "[queues]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const auto instant = static_cast<Instant>(GENERATE(range(0, 7)));
    CAPTURE(static_cast<int>(instant));
    const mp::JoinableQueue<int> queue;
    int next = 0;
    if (instant == Instant::reader_linked) {
        // Up to where the reader stands before a link.
        const auto chunk = state_of(queue).writer.chunk.load();
        while (state_of(queue).writer.chunk.load() == chunk) queue.put(next++);
        for (int i = 0; i < next - 1; ++i) REQUIRE(queue.get() == i);
        for (int i = 0; i < next - 1; ++i) queue.task_done();
    } else {
        queue.put(next++);
    }
    const mp::Event there;
    Child<TestType> child(stop_at, queue, instant, there);
    there.wait();
    child.kill();

    const bool came_through = instant == Instant::writer_committed;
    REQUIRE(queue.qsize() == 1u + came_through);  // who only looks takes no lock
    REQUIRE(queue.get() == next - 1);
    queue.task_done();
    REQUIRE(queue.qsize() == 0u + came_through);
    REQUIRE(queue.empty() == !came_through);
    if (came_through) {
        REQUIRE_THROWS_AS(queue.join(0), mp::TimeoutError);
        REQUIRE(queue.get() == 77);
        queue.task_done();  // though the victim had not counted it
    }
    REQUIRE_THROWS_AS(queue.get(false), mp::Empty);
    REQUIRE(queue.empty());
    queue.join();
    REQUIRE_THROWS_AS(queue.task_done(), mp::ValueError);
    for (int i = 0; i < 2'000; ++i) queue.put(i);
    REQUIRE(queue.qsize() == 2'000);
    for (int i = 0; i < 2'000; ++i) REQUIRE(queue.get() == i);
    REQUIRE(queue.empty());
}

TEST_CASE("A writer killed with a link written does not keep readers busy", "[queues]") {
    const Watchdog watchdog(60);
    const mp::Queue<int> queue;
    const mp::Event there;
    Child<mp::start_method::fork> child(stop_at, queue, Instant::writer_linked, there);
    there.wait();
    child.kill();
    const auto chunk = state_of(queue).reader.chunk.load();
    const double before = support::cpu_seconds();
    REQUIRE_THROWS_AS(queue.get(true, 0.5), mp::Empty);
    REQUIRE(support::cpu_seconds() - before < 0.2);
    // The chunk that the next writer looks at is still there.
    REQUIRE(state_of(queue).reader.chunk.load() == chunk);
    queue.put(1);
    REQUIRE(queue.get() == 1);
}

TEST_CASE("More than 2^27 items are counted right", "[queues]") {
    constexpr std::uint64_t wrap = std::uint64_t{1} << 27;
    const mp::JoinableQueue<int> queue;
    mpd::QueueState& state = state_of(queue);
    // As if so many had been put and not taken, the next one having the number 0 again.
    state.writer.count.store(wrap);
    REQUIRE(queue.qsize() == wrap);
    REQUIRE_FALSE(queue.empty());
    REQUIRE_THROWS_AS(queue.join(0), mp::TimeoutError);
    // As if all but two had been taken and done, and then through the wrap for real.
    state.reader.count.store(wrap);
    state.finished.store(wrap - 2);
    REQUIRE(queue.qsize() == 0);
    REQUIRE_THROWS_AS(queue.join(0), mp::TimeoutError);
    for (mpd::LineEnd* end : {&state.writer, &state.reader}) {
        end->move_to(mpd::Position(end->at().place(), mpd::Position::number_mask - 1'000));
        end->count.store(wrap - 1'001);
    }
    state.finished.store(wrap - 1'001);
    for (int i = 0; i < 3'000; ++i) {
        queue.put(i);
        REQUIRE(queue.qsize() == static_cast<std::size_t>(i) + 1);
    }
    for (int i = 0; i < 3'000; ++i) {
        REQUIRE(queue.get() == i);
        REQUIRE_THROWS_AS(queue.join(0), mp::TimeoutError);
        queue.task_done();
    }
    queue.join(0);
    REQUIRE_THROWS_AS(queue.task_done(), mp::ValueError);
}

TEST_CASE("Who is killed in an immediate shutdown leaves nobody waiting", "[queues]") {
    const Watchdog watchdog(100);
    int ended = 0;
    for (int delay = 0; delay < 400; delay += 8) {
        const mp::JoinableQueue<int> queue;
        constexpr int count = 3'000;
        for (int i = 0; i < count; ++i) queue.put(i);
        for (int i = 0; i < 2; ++i) REQUIRE(queue.get() == i);
        queue.task_done();
        const mp::Event begins;
        mp::ForkProcess child([&] {
            begins.set();
            queue.shutdown(true);
        });
        child.start();
        begins.wait();
        for (int i = 0; i < delay * 50; ++i) {
            std::atomic_signal_fence(std::memory_order_seq_cst);
        }
        child.kill();
        child.join();
        if (state_of(queue).phase.load() == mpd::QueueState::ended) {
            ++ended;
            REQUIRE(queue.qsize() == 0);
            REQUIRE_THROWS_AS(queue.get(), mp::ShutDown);
        } else {
            for (int i = 2; i < count; ++i) REQUIRE(queue.get() == i);
            for (int i = 2; i < count; ++i) queue.task_done();
        }
        REQUIRE_THROWS_AS(queue.join(0), mp::TimeoutError);  // of the two that were taken
        queue.task_done();
        queue.join(1);
        REQUIRE_THROWS_AS(queue.task_done(), mp::ValueError);
    }
    REQUIRE(ended > 0);
}

// --- at random moments ---

namespace {

// An item: who put it, its number there, and words that follow from the two.
using Item = std::vector<std::uint32_t>;

constexpr std::uint32_t producers_at_most = 600;
constexpr std::uint32_t items_each = 1 << 16;

struct Record {
    std::atomic<std::uint32_t> returned[producers_at_most];  // how many puts have returned
    std::atomic<std::uint8_t> taken[producers_at_most][items_each];
    std::atomic<std::uint32_t> corrupt;
    std::atomic<std::uint32_t> out_of_order;
    std::atomic<std::uint64_t> total;
};

std::uint32_t word_of(std::uint32_t producer, std::uint32_t number, std::uint32_t i) {
    std::uint64_t x = (std::uint64_t{producer} << 32 | number) + i * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 31)) * 0xbf58476d1ce4e5b9u;
    return static_cast<std::uint32_t>(x >> 32);
}

/// From 8 bytes to 64 KiB, small ones more often.
std::size_t size_of(std::uint32_t producer, std::uint32_t number) {
    const std::uint32_t random = word_of(producer, number, ~0u);
    return 2 + (random >> 8) % (1u << (random % 15));
}

void produce(mp::Queue<Item> queue, std::uint64_t offset, std::uint32_t producer) {
    auto& record = support::in_heap<Record>(offset);
    for (std::uint32_t number = 0; number < items_each; ++number) {
        while (queue.qsize() > 2'000) ::usleep(100);
        Item item(size_of(producer, number));
        item[0] = producer;
        item[1] = number;
        for (std::uint32_t i = 2; i < item.size(); ++i) item[i] = word_of(producer, number, i);
        queue.put(item);
        record.returned[producer].store(number + 1);
    }
    support::sleep_on();
}

void note(Record& record, const Item& item) {
    bool good = item.size() >= 2 && item[0] < producers_at_most && item[1] < items_each &&
                item.size() == size_of(item[0], item[1]);
    for (std::uint32_t i = 2; good && i < item.size(); ++i) {
        good = item[i] == word_of(item[0], item[1], i);
    }
    if (good) {
        ++record.taken[item[0]][item[1]];
        ++record.total;
    } else {
        ++record.corrupt;
    }
}

void consume(mp::Queue<Item> queue, std::uint64_t offset) {
    auto& record = support::in_heap<Record>(offset);
    std::vector<std::int64_t> last(producers_at_most, -1);
    for (const Item& item : queue) {
        note(record, item);
        auto& before = last[item[0] % producers_at_most];
        if (before >= item[1]) ++record.out_of_order;
        before = item[1];
    }
}

/// Three producers, then three consumers.
template <class Method>
class Crew {
  public:
    Crew(const mp::Queue<Item>& queue, std::uint64_t offset) : queue_(queue), offset_(offset) {
        for (int i = 0; i < 6; ++i) start(i);
    }
    void replace(int index) {
        members_[static_cast<std::size_t>(index)].reset();  // kills
        start(index);
    }
    void kill_producers() {
        for (std::size_t i = 0; i < 3; ++i) members_[i].reset();
    }
    void join_consumers() {
        for (std::size_t i = 3; i < 6; ++i) REQUIRE(members_[i]->join() == 0);
    }
    [[nodiscard]] std::uint32_t producers() const { return producers_; }

  private:
    void start(int index) {
        auto& member = members_[static_cast<std::size_t>(index)];
        if (index < 3) {
            member.emplace(produce, queue_, offset_, producers_++);
        } else {
            member.emplace(consume, queue_, offset_);
        }
    }

    mp::Queue<Item> queue_;
    std::uint64_t offset_;
    std::uint32_t producers_ = 0;
    std::optional<Child<Method>> members_[6];
};

template <class Method>
void run_storm(int maxsize, int kills) {
    const mp::Queue<Item> queue(maxsize);
    const support::InHeap<Record> record;
    Crew<Method> crew(queue, record.offset());
    support::Random random(static_cast<unsigned>(maxsize) + 5);
    std::uint32_t consumers_killed = 0;
    for (int kill = 0; kill < kills; ++kill) {
        ::usleep(3'000);
        const int victim = static_cast<int>(random() % 6);
        if (victim >= 3) ++consumers_killed;
        const std::uint64_t total = record->total;
        crew.replace(victim);
        REQUIRE(support::eventually([&] { return record->total > total; }));
    }
    crew.kill_producers();
    queue.shutdown();
    crew.join_consumers();

    std::uint32_t twice = 0;
    std::uint32_t lost = 0;
    for (std::uint32_t producer = 0; producer < crew.producers(); ++producer) {
        const std::uint32_t returned = record->returned[producer];
        for (std::uint32_t number = 0; number < items_each; ++number) {
            const int taken = record->taken[producer][number];
            twice += taken > 1;
            lost += number < returned && taken == 0;
            // Of the puts that did not return, at most the last one may have come through.
            if (number > returned) twice += taken != 0;
        }
    }
    INFO(record->total << " items, " << consumers_killed << " consumers killed, " << lost
                       << " items lost with them");
    REQUIRE(record->corrupt == 0);
    REQUIRE(record->out_of_order == 0);
    REQUIRE(twice == 0);
    REQUIRE(lost <= consumers_killed);
    REQUIRE(queue.empty());
}

}  // namespace

TEMPLATE_TEST_CASE("Through a kill storm no item is lost, doubled or damaged, and nobody hangs",
                   "[queues][storm]", START_METHODS) {
    const Watchdog watchdog(280);
    const int kills = support::sanitized ? 60 : 500;  // in each of four variants
    SECTION("a queue that grows") { run_storm<TestType>(0, kills); }
    SECTION("a queue that is full most of the time") { run_storm<TestType>(20, kills); }
}
