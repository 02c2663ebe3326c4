// Who is killed anywhere in put_many or get_many leaves the items of before it, or those after one
// of its steps, counted right, and nobody waiting in vain.
// SPDX-License-Identifier: MIT
// CTEST: LABELS steps
#include <multiprocessing/queues.hpp>

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "tests/stepkill/stepper.hpp"

using stepkill::expect;
using stepkill::Row;
using stepkill::Trial;

namespace {

namespace mpd = mp::detail;

template <class T>
using Items = std::vector<T>;

/// Throws unless a queue holds one of the lists of items, counted right, and works. It is emptied.
template <class T>
void check_queue(const mp::JoinableQueue<T>& queue, const std::vector<Items<T>>& allowed) {
    const std::size_t size = queue.qsize();
    const bool is_full = queue.full();
    Items<T> found;
    while (auto item = queue.try_get()) found.push_back(std::move(*item));
    expect(std::ranges::find(allowed, found) != allowed.end(), "items that must not be there");
    expect(size == found.size(), fmt::format("qsize() was {} for {} items", size, found.size()));
    expect(is_full == (queue.maxsize() != 0 && size >= queue.maxsize()), "full() was wrong");
    for (int i = 0; i < 3; ++i) {
        expect(queue.put_many({T{}}, 1) == 1, "no room for one more");
        queue.put(T{}, true, 1);
        (void)queue.get_many(1, 1);
        queue.get(true, 1);
    }
    expect(queue.empty() && queue.qsize() == 0, "not empty after as many get as put");
}

/// Throws unless so many items are left to be declared done.
template <class T>
void check_unfinished(const mp::JoinableQueue<T>& queue, std::size_t expected) {
    for (; expected != 0; --expected) queue.task_done();
    queue.join(1);
}

template <class T>
mp::JoinableQueue<T> queue_of(const Items<T>& items, int maxsize = 0) {
    const mp::JoinableQueue<T> queue(maxsize);
    queue.put_many(items);
    return queue;
}
template <class T>
Items<T> joined(Items<T> items, const Items<T>& more) {
    items.insert(items.end(), more.begin(), more.end());
    return items;
}

/// Items are put behind others, in one step.
template <class T>
Trial put_many(const Items<T>& before, const Items<T>& items, int maxsize = 0) {
    const auto queue = queue_of<T>(before, maxsize);
    return {.operation = [=] { queue.put_many(items); },
            .check =
                [=] {
                    check_queue<T>(queue, {before, joined(before, items)});
                }};
}
Trial put_many_and_count() {
    const auto queue = queue_of<int>({1});
    return {.operation =
                [=] {
                    queue.put_many({2, 3, 4});
                },
            .check = [=] { check_unfinished(queue, queue.qsize()); }};
}
/// There is room for two of four.
Trial put_a_part() {
    const auto queue = queue_of<int>({1}, 3);
    return {.operation =
                [=] {
                    (void)queue.put_many({2, 3, 4, 5}, 0);
                },
            .check =
                [=] {
                    check_queue<int>(queue, {{1}, {1, 2, 3}});
                }};
}
/// Room for the third comes while the victim waits for it.
Trial put_many_after_a_sleep() {
    const auto queue = queue_of<int>({}, 2);
    return {.operation =
                [=] {
                    (void)queue.put_many({2, 3, 4}, 3);
                },
            .check =
                [=] {
                    if (queue.empty()) queue.put(2);
                },
            .bystanders = {[=] { expect(queue.get(true, 3) == 2, "not the first"); }}};
}

/// At most two items are taken.
template <class T>
Trial get_many(const Items<T>& before) {
    const auto queue = queue_of<T>(before);
    const auto count = static_cast<std::ptrdiff_t>(std::min<std::size_t>(before.size(), 2));
    const Items<T> after(before.begin() + count, before.end());
    return {.operation = [=] { (void)queue.get_many(2); },
            .check =
                [=] {
                    check_queue<T>(queue, {before, after});
                }};
}
Trial get_many_in_vain(double timeout) {
    const auto queue = queue_of<int>({});
    return {.operation =
                [=] {
                    try {
                        (void)queue.get_many(2, timeout);
                    } catch (const mp::Empty&) {
                    }
                },
            .check = [=] { check_queue<int>(queue, {{}}); }};
}

/// As many items as a new queue's first chunk holds.
Items<int> items_of_a_chunk() {
    const mp::Queue<int> queue;
    auto& state = static_cast<mpd::QueueState&>(*queue.shared_handle().object());
    const mpd::Offset chunk = state.writer.chunk;
    int count = 0;
    while (state.writer.chunk == chunk) queue.put(count++);
    Items<int> items(static_cast<std::size_t>(count) - 1);
    std::iota(items.begin(), items.end(), 0);
    return items;
}
/// Two items of one chunk and two of the next are taken, in two steps.
Trial get_many_of_two_chunks() {
    const Items<int> items = items_of_a_chunk();
    const auto queue = queue_of<int>(items);
    queue.put(-1);
    queue.put(-2);
    (void)queue.get_many(items.size() - 2);
    const int a = items.end()[-2];
    const int b = items.end()[-1];
    return {.operation = [=] { (void)queue.get_many(4); },
            .check =
                [=] {
                    check_queue<int>(queue, {{a, b, -1, -2}, {-1, -2}, {}});
                }};
}

/// Another process has put three items and died before it had counted them.
mp::JoinableQueue<int> queue_after_a_death(std::shared_ptr<mp::ForkProcess>& dead) {
    const auto queue = queue_of<int>({1});
    dead = stepkill::killed_after([queue] {
        auto& state = static_cast<mpd::QueueState&>(*queue.shared_handle().object());
        state.writer.lock.acquire_or_recover();
        const mpd::Record record(mpd::settle(state.writer).place());
        const int items[] = {7, 8, 9};
        mpd::PlainBatch<int> batch(items, 3);
        mpd::Record(record.place() + batch.size_of(3)).clear();
        record.commit(batch.write(record, 3));
    });
    return queue;
}
/// @param change what the victim does @param after what it leaves when it is not killed
Trial after_a_death(const std::function<void(const mp::JoinableQueue<int>&)>& change,
                    const Items<int>& after) {
    std::shared_ptr<mp::ForkProcess> dead;
    const auto queue = queue_after_a_death(dead);
    return {.operation = [=] { change(queue); },
            .check =
                [=] {
                    (void)dead;
                    expect(queue.qsize() == 4 || queue.qsize() == after.size(), "qsize()");
                    check_queue<int>(queue, {{1, 7, 8, 9}, after});
                }};
}

/// Two items are put while two wait for one each.
Trial put_many_to_sleepers() {
    const mp::JoinableQueue<int> queue;
    const auto take = [=] {
        const int item = queue.get(true, 3);
        ++stepkill::board().notes[0];
        expect(item == 1 || item == 2, "got something else");
    };
    return {.operation =
                [=] {
                    queue.put_many({1, 2});
                },
            .check =
                [=] {
                    // Where the items were put, the sleepers have to get them without our help.
                    if (queue.empty() && stepkill::board().notes[0] == 0) queue.put_many({1, 2});
                },
            .bystanders = {take, take}};
}
/// Two items are taken while two wait for room.
Trial get_many_with_sleepers() {
    const auto queue = queue_of<int>({1, 1}, 2);
    const auto put = [=] {
        queue.put(2, true, 3);
        ++stepkill::board().notes[0];
    };
    return {.operation = [=] { (void)queue.get_many(2); },
            .check =
                [=] {
                    if (queue.full() && stepkill::board().notes[0] == 0) (void)queue.get_many(2, 1);
                },
            .bystanders = {put, put}};
}

using Texts = Items<std::string>;
const std::string long_text(1'500, 'L');

const Row rows_of_put[] = {
    {"put_many",
     [] {
         return put_many<int>({1}, {2, 3, 4});
     }},
    {"put_many, the first items",
     [] {
         return put_many<int>({}, {2, 3});
     }},
    {"put_many, the last that have room",
     [] {
         return put_many<int>({1}, {2, 3}, 3);
     }},
    {"put_many, a new chunk",
     [] {
         return put_many<int>(items_of_a_chunk(), {2, 3});
     }},
    {"put_many, more than a usual chunk holds",
     [] { return put_many<int>({1}, Items<int>(300, 5)); }},
    {"put_many, texts",
     [] {
         return put_many<std::string>({"a"}, {"b", long_text, "c"});
     }},
    {"put_many, counted for join", put_many_and_count},
    {"put_many, room for a part", put_a_part},
    {"put_many, after a death in another",
     [] {
         return after_a_death(
             [](const auto& queue) {
                 queue.put_many({2, 3});
             },
             {1, 7, 8, 9, 2, 3});
     }},
    {"put, after a death in put_many",
     [] {
         return after_a_death([](const auto& queue) { queue.put(2); }, {1, 7, 8, 9, 2});
     }},
};
const Row rows_of_get[] = {
    {"get_many",
     [] {
         return get_many<int>({1, 2, 3});
     }},
    {"get_many, all",
     [] {
         return get_many<int>({1, 2});
     }},
    {"get_many, texts",
     [] {
         return get_many<std::string>({"a", long_text, "b"});
     }},
    {"get_many, two chunks", get_many_of_two_chunks},
    {"get_many, empty", [] { return get_many_in_vain(0); }},
    {"get_many, empty, with a timeout", [] { return get_many_in_vain(.03); }},
    {"get_many, after a death in put_many",
     [] { return after_a_death([](const auto& queue) { (void)queue.get_many(3); }, {9}); }},
};
const Row rows_with_sleepers[] = {
    {"put_many that waits for room", put_many_after_a_sleep},
    {"put_many, two sleep in get", put_many_to_sleepers},
    {"get_many, two sleep in put", get_many_with_sleepers},
};

}  // namespace

TEST_CASE("Who is killed in put_many has put what there was room for, or nothing",
          "[queues][steps]") {
    stepkill::kill_everywhere(rows_of_put);
}
TEST_CASE("Who is killed in get_many has taken the items or not", "[queues][steps]") {
    stepkill::kill_everywhere(rows_of_get);
}
TEST_CASE("Who is killed in put_many or get_many leaves nobody asleep", "[queues][steps]") {
    stepkill::kill_everywhere(rows_with_sleepers);
}
