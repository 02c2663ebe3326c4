// Who is killed anywhere in an operation of a queue leaves the items of before or those of after
// it, counted right, and nobody waiting in vain.
// SPDX-License-Identifier: MIT
// CTEST: LABELS steps
#include <multiprocessing/queues.hpp>
#include <multiprocessing/synchronize.hpp>

#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "tests/stepkill/stepper.hpp"

using stepkill::await_victim;
using stepkill::expect;
using stepkill::Row;
using stepkill::Trial;

namespace {

namespace mpd = mp::detail;

template <class Q>
using Items = std::vector<typename Q::value_type>;

/// Throws unless a queue holds the items of before or those of after, and works. It is emptied.
template <class Q>
void check_queue(const Q& queue, const Items<Q>& before, const Items<Q>& after) {
    // First what takes nothing and no lock, as a program sees it that only looks.
    const std::size_t size = queue.qsize();
    const bool is_empty = queue.empty();
    const bool is_full = queue.full();
    Items<Q> found;
    while (auto item = queue.try_get()) found.push_back(std::move(*item));
    expect(found == before || found == after, "neither the items of before nor those of after");
    expect(size == found.size(), fmt::format("qsize() was {} for {} items", size, found.size()));
    expect(is_empty == found.empty(), "empty() was wrong");
    expect(is_full == (queue.maxsize() != 0 && found.size() == queue.maxsize()),
           "full() was wrong");
    for (int i = 0; i < 3; ++i) {
        queue.put(typename Q::value_type{}, true, 1);
        queue.get(true, 1);
    }
    expect(queue.empty() && queue.qsize() == 0, "not empty after as many get as put");
}

template <class Q>
Q make_queue([[maybe_unused]] int maxsize) {
    if constexpr (std::is_constructible_v<Q, int>) {
        return Q(maxsize);
    } else {
        return Q();
    }
}
template <class Q>
Q queue_of(const Items<Q>& items, int maxsize = 0) {
    const Q queue = make_queue<Q>(maxsize);
    for (const auto& item : items) queue.put(item);
    return queue;
}

/// One item is put behind others.
template <class Q = mp::Queue<int>>
Trial put(const Items<Q>& before, const typename Q::value_type& item, int maxsize = 0) {
    const Q queue = queue_of<Q>(before, maxsize);
    Items<Q> after = before;
    after.push_back(item);
    return {.operation = [=] { queue.put(item); },
            .check = [=] { check_queue(queue, before, after); }};
}

/// The first of some items is taken.
template <class Q = mp::Queue<int>>
Trial get(const Items<Q>& before) {
    const Q queue = queue_of<Q>(before);
    const Items<Q> after(before.begin() + 1, before.end());
    return {.operation = [=] { (void)queue.get(); },
            .check = [=] { check_queue(queue, before, after); }};
}

/// Something that changes nothing.
Trial look(const std::vector<int>& items, int maxsize,
           const std::function<void(const mp::Queue<int>&)>& operation) {
    const auto queue = queue_of<mp::Queue<int>>(items, maxsize);
    return {.operation = [=] { operation(queue); },
            .check = [=] { check_queue(queue, items, items); }};
}
void get_in_vain(const mp::Queue<int>& queue, double timeout) {
    try {
        (void)queue.get(true, timeout);
    } catch (const mp::Empty&) {
    }
}
void put_in_vain(const mp::Queue<int>& queue, double timeout) {
    try {
        queue.put(1, true, timeout);
    } catch (const mp::Full&) {
    }
}

/// As many items as a new queue's first chunk holds.
std::vector<int> items_of_a_chunk() {
    const mp::Queue<int> queue;
    auto& state = static_cast<mpd::QueueState&>(*queue.shared_handle().object());
    const mpd::Offset chunk = state.writer.chunk;
    int count = 0;
    while (state.writer.chunk == chunk) queue.put(count++);
    std::vector<int> items(static_cast<std::size_t>(count) - 1);
    std::iota(items.begin(), items.end(), 0);
    return items;
}

Trial put_into_a_new_chunk() { return put(items_of_a_chunk(), 7); }

/// The item that is taken is the first of the second chunk.
Trial get_from_the_next_chunk() {
    std::vector<int> items = items_of_a_chunk();
    const auto queue = queue_of<mp::Queue<int>>(items);
    queue.put(7);
    queue.put(8);
    for (std::size_t i = 0; i < items.size(); ++i) (void)queue.get();
    return {.operation = [=] { (void)queue.get(); },
            .check =
                [=] {
                    check_queue(queue, {7, 8}, {8});
                }};
}

// --- after a death in a put: who goes on from there may be killed too ---

/// Another process has put an item and died before it had counted it.
mp::Queue<int> queue_after_a_death(std::shared_ptr<mp::ForkProcess>& dead) {
    const auto queue = queue_of<mp::Queue<int>>({1, 2});
    dead = stepkill::killed_after([queue] {
        auto& state = static_cast<mpd::QueueState&>(*queue.shared_handle().object());
        state.writer.lock.acquire_or_recover();
        const mpd::Record record(mpd::settle(state.writer).place());
        const int item = 77;
        record.fill(&item, sizeof(item));
        mpd::Record(record.behind(sizeof(item))).clear();
        record.commit(mpd::RecordHead::make(mpd::RecordKind::bytes, sizeof(item)));
    });
    return queue;
}
Trial put_after_a_death() {
    std::shared_ptr<mp::ForkProcess> dead;
    const auto queue = queue_after_a_death(dead);
    return {.operation = [=] { queue.put(3); },
            .check =
                [=] {
                    (void)dead;
                    check_queue(queue, {1, 2, 77}, {1, 2, 77, 3});
                }};
}
Trial get_after_a_death() {
    std::shared_ptr<mp::ForkProcess> dead;
    const auto queue = queue_after_a_death(dead);
    return {.operation = [=] { (void)queue.get(); },
            .check =
                [=] {
                    (void)dead;
                    check_queue(queue, {1, 2, 77}, {2, 77});
                }};
}

// --- those who sleep ---

/// An item is put while another process waits for one.
Trial put_to_a_sleeper() {
    const mp::Queue<int> queue;
    return {.operation = [=] { queue.put(1); },
            .check =
                [=] {
                    // Where the item was put, the sleeper has to get it without our help.
                    if (queue.empty() && stepkill::board().notes[0] == 0) queue.put(2);
                },
            .bystanders = {[=] {
                const int item = queue.get(true, 3);
                stepkill::board().notes[0] = 1;
                expect(item == 1 || item == 2, "got something else");
            }}};
}

/// An item is taken while another process waits for room.
Trial get_with_a_sleeper() {
    const auto queue = queue_of<mp::Queue<int>>({1}, 1);
    return {.operation = [=] { (void)queue.get(); },
            .check =
                [=] {
                    if (queue.full() && stepkill::board().notes[0] == 0) (void)queue.get(true, 1);
                },
            .bystanders = {[=] {
                queue.put(2, true, 3);
                stepkill::board().notes[0] = 1;
            }}};
}

/// Two wait for items; the one that is killed may have been woken for the other.
Trial get_after_a_sleep() {
    const mp::Queue<int> queue;
    return {.operation = [=] { get_in_vain(queue, 3); },
            .check =
                [=] {
                    queue.put(3);
                    expect(queue.qsize() <= 3, "too many items");
                },
            .bystanders = {[=] { (void)queue.get(true, 3); },
                           [=] {
                               await_victim();
                               queue.put(1);
                               queue.put(2);
                           }}};
}

Trial put_after_a_sleep() {
    const auto queue = queue_of<mp::Queue<int>>({1, 2}, 2);
    return {.operation = [=] { put_in_vain(queue, 3); },
            .check = [=] { (void)queue.get(true, 1); },
            .bystanders = {[=] { queue.put(4, true, 3); },
                           [=] {
                               await_victim();
                               (void)queue.get(true, 1);
                               (void)queue.get(true, 1);
                           }}};
}

// --- handles, and the end of a queue ---

/// A handle is taken out of a queue and dropped.
Trial get_a_handle() {
    const mp::Queue<mp::Lock> queue;
    const mp::Lock lock;
    queue.put(lock);
    return {.operation = [=] { (void)queue.get().acquire(false); },
            .check =
                [=] {
                    const auto count = lock.shared_handle().object()->references.load();
                    expect(count >= 1 && count < 10, fmt::format("{} handles", count));
                    (void)queue.try_get();
                    expect(queue.empty(), "more handles than were put");
                    queue.put(lock);
                    expect(queue.get(true, 1) == lock, "another handle than was put");
                }};
}

/// A queue is made by one process, or dropped with items in it.
Trial life_of_a_queue(bool is_dropped) {
    const auto other = queue_of<mp::Queue<std::string>>({"a"});
    const auto check = [=] {
        const auto queue = queue_of<mp::Queue<std::string>>({"d"});
        check_queue(queue, {"d"}, {"d"});
        check_queue(other, {"a"}, {"a"});
    };
    if (!is_dropped) return stepkill::make_one([] { return mp::Queue<std::string>(); }, check);
    return stepkill::drop_one(
        [] {
            return queue_of<mp::Queue<std::string>>({"b", std::string(900, 'c')});
        },
        check);
}

using Texts = mp::Queue<std::string>;
using Simple = mp::SimpleQueue<std::string>;
const std::string long_text(1'500, 'L');
const std::string huge_text(9'000, 'H');

const Row rows_of_put[] = {
    {"Queue.put",
     [] {
         return put({1, 2}, 3);
     }},
    {"Queue.put, the first item", [] { return put({}, 3); }},
    {"Queue.put, the last that has room",
     [] {
         return put({1, 2}, 3, 3);
     }},
    {"Queue.put, a new chunk", put_into_a_new_chunk},
    {"Queue.put, a text", [] { return put<Texts>({"a"}, "b"); }},
    {"Queue.put, 1,500 bytes", [] { return put<Texts>({"a"}, long_text); }},
    {"Queue.put, 9,000 bytes", [] { return put<Texts>({"a"}, huge_text); }},
    {"Queue.put_nowait, full",
     [] {
         return look({1, 2}, 2, [](const mp::Queue<int>& queue) { put_in_vain(queue, 0); });
     }},
    {"Queue.put, full, with a timeout",
     [] {
         return look({1, 2}, 2, [](const mp::Queue<int>& queue) { put_in_vain(queue, .03); });
     }},
    {"Queue.put, after a death in another", put_after_a_death},
    {"SimpleQueue.put", [] { return put<Simple>({"a"}, "b"); }},
};

const Row rows_of_get[] = {
    {"Queue.get",
     [] {
         return get({1, 2});
     }},
    {"Queue.get, the last item", [] { return get({1}); }},
    {"Queue.get, the next chunk", get_from_the_next_chunk},
    {"Queue.get, a text",
     [] {
         return get<Texts>({"a", "b"});
     }},
    {"Queue.get, 1,500 bytes",
     [] {
         return get<Texts>({long_text, "a"});
     }},
    {"Queue.get, 9,000 bytes",
     [] {
         return get<Texts>({huge_text, "a"});
     }},
    {"Queue.try_get, empty",
     [] { return look({}, 0, [](const mp::Queue<int>& queue) { (void)queue.try_get(); }); }},
    {"Queue.get_nowait, empty",
     [] { return look({}, 0, [](const mp::Queue<int>& queue) { get_in_vain(queue, 0); }); }},
    {"Queue.get, empty, with a timeout",
     [] { return look({}, 0, [](const mp::Queue<int>& queue) { get_in_vain(queue, .03); }); }},
    {"Queue.get, after a death in a put", get_after_a_death},
    {"SimpleQueue.get",
     [] {
         return get<Simple>({"a", "b"});
     }},
    {"Queue.get, a handle", get_a_handle},
    {"Queue: made", [] { return life_of_a_queue(false); }},
    {"Queue: dropped with items", [] { return life_of_a_queue(true); }},
};

const Row rows_with_sleepers[] = {
    {"Queue.put, one sleeps in get", put_to_a_sleeper},
    {"Queue.get, one sleeps in put", get_with_a_sleeper},
    {"Queue.get that sleeps, one besides", get_after_a_sleep},
    {"Queue.put that sleeps, one besides", put_after_a_sleep},
};

}  // namespace

TEST_CASE("Who is killed in a put has put the item or not", "[queues][steps]") {
    stepkill::kill_everywhere(rows_of_put);
}
TEST_CASE("Who is killed in a get has taken the item or not", "[queues][steps]") {
    stepkill::kill_everywhere(rows_of_get);
}
TEST_CASE("Who is killed in a put or get leaves nobody asleep", "[queues][steps]") {
    stepkill::kill_everywhere(rows_with_sleepers);
}
