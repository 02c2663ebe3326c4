// A kill storm over a queue: processes that put and take are killed at random moments.
// SPDX-License-Identifier: MIT
#include <multiprocessing/queues.hpp>

#include <algorithm>
#include <cstdint>

#include "tests/synchronize/support.hpp"

using support::Watchdog;

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
