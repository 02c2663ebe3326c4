// Processes that are killed while they put and take batches: at the instants that matter, and at
// random moments in a storm. SPDX-License-Identifier: MIT
// CTEST: LABELS storm
#include <multiprocessing/queues.hpp>

#include <algorithm>
#include <cstdint>

#include "tests/synchronize/support.hpp"

using support::Watchdog;

namespace {

namespace mpd = mp::detail;

// --- one instant at a time ---

mpd::QueueState& state_of(const mp::Queue<int>& queue) {
    return static_cast<mpd::QueueState&>(*queue.shared_handle().object());
}

/// Does what put_many does with three items, and goes no further.
/// @param commits whether they are put, though not counted
void put_three(mp::Queue<int> queue, bool commits, mp::Event there) {
    mpd::QueueState& state = state_of(queue);
    state.writer.lock.acquire(mpd::Deadline(mp::Timeout()));
    const mpd::Record record(mpd::settle(state.writer).place());
    const int items[] = {77, 78, 79};
    mpd::PlainBatch<int> batch(items, 3);
    mpd::Record(record.place() + batch.size_of(3)).clear();
    const mpd::RecordHead head = batch.write(record, 3);
    if (commits) record.commit(head);
    there.set();
    support::sleep_on();
}

}  // namespace

TEMPLATE_TEST_CASE("Who is killed in put_many has put all or nothing", "[queues][batches]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    const bool commits = GENERATE(false, true);
    const mp::JoinableQueue<int> queue(5);
    queue.put(1);
    const mp::Event there;
    Child<TestType> child(put_three, queue, commits, there);
    there.wait();
    // Before its death others can take what it has put, and count right.
    REQUIRE(queue.qsize() == 1 + (commits ? 3 : 0));
    REQUIRE(queue.get_many(2).size() == 1 + (commits ? 1 : 0));
    REQUIRE(queue.qsize() == (commits ? 2 : 0));
    child.kill();
    REQUIRE(queue.qsize() == (commits ? 2 : 0));
    const std::size_t room = 5 - queue.qsize();
    REQUIRE(queue.put_many({5, 6, 7, 8, 9}, 1) == room);
    REQUIRE(queue.full());
    const std::vector<int> expected =
        commits ? std::vector<int>{78, 79, 5, 6, 7} : std::vector<int>{5, 6, 7, 8, 9};
    REQUIRE(queue.get_many(9) == expected);
    for (std::size_t i = 0; i < 6 + (commits ? 1 : 0); ++i) queue.task_done();
    queue.join(1);
    REQUIRE_THROWS_AS(queue.task_done(), mp::ValueError);
}

TEST_CASE("Batches are counted right beyond 2^27 items", "[queues][batches]") {
    constexpr std::uint64_t wrap = std::uint64_t{1} << 27;
    const mp::JoinableQueue<int> queue(200);
    mpd::QueueState& state = state_of(queue);
    for (mpd::LineEnd* end : {&state.writer, &state.reader}) {
        end->move_to(mpd::Position(end->at().place(), mpd::Position::number_mask - 1'000));
        end->count.store(wrap - 1'001);
    }
    state.finished.store(wrap - 1'001);
    for (int i = 0; i < 3'000; i += 150) {
        queue.put_many(std::vector<int>(150, i));
        REQUIRE(queue.qsize() == 150);
        REQUIRE(queue.put_many(std::vector<int>(150, i), 0) == 50);
        REQUIRE(queue.full());
        REQUIRE(queue.get_many(1'000) == std::vector<int>(200, i));
        for (int k = 0; k < 200; ++k) queue.task_done();
        queue.join(0);
    }
    REQUIRE_THROWS_AS(queue.task_done(), mp::ValueError);
}

// --- at random moments ---

namespace {

// An item: who put it, its number there, and as many words more as follow from the two.
using Item = std::vector<std::uint32_t>;

constexpr std::uint32_t producers_at_most = 400;
constexpr std::uint32_t items_each = 1 << 16;
constexpr std::uint32_t most = 16;  // a get_many takes

struct Tally {
    std::atomic<std::uint32_t> returned[producers_at_most];  // items of put_many that have returned
    std::atomic<std::uint32_t> begun[producers_at_most];     // and of the one that has not
    std::atomic<std::uint8_t> taken[producers_at_most][items_each];
    std::atomic<std::uint32_t> corrupt;
    std::atomic<std::uint32_t> out_of_order;
    std::atomic<std::uint64_t> total;
};

std::uint32_t word_of(std::uint32_t producer, std::uint32_t number, std::uint32_t i) {
    return (producer * 0x9e37'79b9 + number) * 0x85eb'ca6b + i * 0xc2b2'ae35;
}
/// From 8 bytes to 16 KiB, small ones more often.
std::size_t size_of(std::uint32_t producer, std::uint32_t number) {
    const std::uint32_t random = word_of(producer, number, ~0u) >> 8;
    return 2 + random % (1u << (random / 64 % 13));
}
Item make_item(std::uint32_t producer, std::uint32_t number) {
    Item item(size_of(producer, number));
    item[0] = producer;
    item[1] = number;
    for (std::uint32_t i = 2; i < item.size(); ++i) item[i] = word_of(producer, number, i);
    return item;
}

void produce(mp::Queue<Item> queue, std::uint64_t offset, std::uint32_t producer) {
    auto& tally = support::in_heap<Tally>(offset);
    for (std::uint32_t number = 0; number < items_each;) {
        while (queue.qsize() > 2'000) ::usleep(100);
        std::vector<Item> items;
        const std::uint32_t length =
            std::min(1 + word_of(producer, number, 1) % 40, items_each - number);
        for (std::uint32_t i = 0; i < length; ++i) items.push_back(make_item(producer, number++));
        tally.begun[producer].store(number);
        queue.put_many(items);
        tally.returned[producer].store(number);
    }
    support::sleep_on();
}

void consume(mp::Queue<Item> queue, std::uint64_t offset) {
    auto& tally = support::in_heap<Tally>(offset);
    std::vector<std::int64_t> last(producers_at_most, -1);
    for (const std::vector<Item>& batch : queue.batches(most)) {
        for (const Item& item : batch) {
            const bool is_good = item.size() >= 2 && item[0] < producers_at_most &&
                                 item[1] < items_each && item == make_item(item[0], item[1]);
            if (!is_good) {
                ++tally.corrupt;
                continue;
            }
            ++tally.taken[item[0]][item[1]];
            ++tally.total;
            if (last[item[0]] >= item[1]) ++tally.out_of_order;
            last[item[0]] = item[1];
        }
    }
}

template <class Method>
void run_storm(int maxsize, int kills) {
    const mp::Queue<Item> queue(maxsize);
    const support::InHeap<Tally> tally;
    std::optional<Child<Method>> crew[6];  // three producers, then three consumers
    std::uint32_t producers = 0;
    const auto start = [&](std::size_t i) {
        crew[i].reset();  // kills
        if (i < 3) {
            crew[i].emplace(produce, queue, tally.offset(), producers++);
        } else {
            crew[i].emplace(consume, queue, tally.offset());
        }
    };
    for (std::size_t i = 0; i < 6; ++i) start(i);
    support::Random random(static_cast<unsigned>(maxsize) + 7);
    std::uint32_t consumers_killed = 0;
    for (int kill = 0; kill < kills; ++kill) {
        ::usleep(3'000);
        const std::size_t victim = random() % 6;
        if (victim >= 3) ++consumers_killed;
        const std::uint64_t total = tally->total;
        start(victim);
        REQUIRE(support::eventually([&] { return tally->total > total; }));
    }
    for (std::size_t i = 0; i < 3; ++i) crew[i].reset();
    queue.shutdown();
    for (std::size_t i = 3; i < 6; ++i) REQUIRE(crew[i]->join() == 0);

    std::uint32_t twice = 0;
    std::uint32_t lost = 0;
    for (std::uint32_t producer = 0; producer < producers; ++producer) {
        for (std::uint32_t number = 0; number < items_each; ++number) {
            const int taken = tally->taken[producer][number];
            twice += taken > 1;
            lost += number < tally->returned[producer] && taken == 0;
            // Of the put_many that did not return, all items may have come through, but no more.
            if (number >= tally->begun[producer]) twice += taken != 0;
        }
    }
    INFO(tally->total << " items, " << consumers_killed << " consumers killed, " << lost
                      << " items lost with them");
    REQUIRE(tally->corrupt == 0);
    REQUIRE(tally->out_of_order == 0);
    REQUIRE(twice == 0);
    REQUIRE(lost <= consumers_killed * most);
    REQUIRE(queue.empty());
}

}  // namespace

TEMPLATE_TEST_CASE("Through a kill storm no batch is lost, doubled or damaged, and nobody hangs",
                   "[queues][batches][storm]", START_METHODS) {
    const Watchdog watchdog(280);
    const int kills = support::sanitized ? 40 : 200;
    SECTION("a queue that grows") { run_storm<TestType>(0, kills); }
    SECTION("a queue that is full most of the time") { run_storm<TestType>(20, kills); }
}
