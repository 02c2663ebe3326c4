// Who is killed anywhere in an operation of a JoinableQueue, or in a shutdown, leaves the count of
// what is not done right, and nobody waiting in vain.
// SPDX-License-Identifier: MIT
// CTEST: LABELS steps
#include <multiprocessing/queues.hpp>

#include <vector>

#include "tests/stepkill/stepper.hpp"

using stepkill::await_victim;
using stepkill::expect;
using stepkill::Row;
using stepkill::Trial;

namespace {

using Joinable = mp::JoinableQueue<int>;

Joinable queue_of(const std::vector<int>& items) {
    const Joinable queue;
    for (const int item : items) queue.put(item);
    return queue;
}

bool is_joined(const Joinable& queue) {
    try {
        queue.join(0);
        return true;
    } catch (const mp::TimeoutError&) {
        return false;
    }
}
/// Declares items done until there is none. @returns how many there were
int finish_all(const Joinable& queue) {
    for (int count = 0;; ++count) {
        try {
            queue.task_done();
        } catch (const mp::ValueError&) {
            return count;
        }
    }
}

/// Throws unless so many items are neither in the queue nor done, and join() says so.
void check_unfinished(const Joinable& queue, int at_least, int at_most) {
    const bool joined = is_joined(queue);
    const int unfinished = finish_all(queue);
    expect(joined == (unfinished == 0), "join() was wrong");
    expect(at_least <= unfinished && unfinished <= at_most,
           fmt::format("{} items were not done", unfinished));
    queue.join(1);
}

Trial joinable_put(const std::vector<int>& before) {
    const auto queue = queue_of(before);
    return {.operation = [=] { queue.put(9); },
            .check =
                [=] {
                    const auto count = static_cast<int>(queue.qsize());
                    check_unfinished(queue, count, count);
                }};
}
Trial joinable_get() {
    const auto queue = queue_of({1, 2});
    return {.operation = [=] { (void)queue.get(); },
            .check = [=] { check_unfinished(queue, 2, 2); }};
}

/// The last item but `left` is declared done, while another process waits for the last one.
Trial task_done(int left) {
    const auto queue = queue_of({1, 2, 3});
    for (int i = 0; i < 3; ++i) (void)queue.get();
    for (int i = 0; i < 2 - left; ++i) queue.task_done();
    return {.operation = [=] { queue.task_done(); },
            // Where the last one is done, who waits is woken without our help.
            .check = [=] { check_unfinished(queue, left, left + 1); },
            .bystanders = {[=] { queue.join(3); }}};
}
Trial join() {
    const auto queue = queue_of({1});
    (void)queue.get();
    queue.task_done();
    return {.operation = [=] { queue.join(); }, .check = [=] { check_unfinished(queue, 0, 0); }};
}
Trial join_after_a_sleep() {
    const auto queue = queue_of({1});
    (void)queue.get();
    return {.operation = [=] { queue.join(3); },
            .check =
                [=] {
                    queue.join(1.5);
                    check_unfinished(queue, 0, 0);
                },
            .bystanders = {[=] { queue.join(3); },
                           [=] {
                               await_victim();
                               queue.task_done();
                           }}};
}

Trial shutdown(bool immediate) {
    const auto queue = queue_of({0, 1, 2, 3, 4});
    return {.operation = [=] { queue.shutdown(immediate); },
            .check =
                [=] {
                    bool is_down = false;
                    try {
                        queue.put(9);
                    } catch (const mp::ShutDown&) {
                        is_down = true;
                    }
                    const std::size_t size = queue.qsize();
                    if (!is_down) {
                        expect(size == 6, "items are lost, though the queue is not shut down");
                    } else {
                        expect(size == (immediate ? 0 : 5), "qsize() of a queue that is shut down");
                        if (immediate) queue.join(0.5);
                    }
                    queue.shutdown(true);  // again, after one that was only begun
                    expect(!queue.try_get() && queue.empty(), "an item after shutdown(immediate)");
                    queue.join(0.5);
                }};
}

/// The queue is shut down while others wait for an item and for the end of all.
Trial shutdown_with_sleepers(bool immediate) {
    const auto queue = queue_of({1});
    if (!immediate) (void)queue.get();
    const mp::Queue<int> empty;
    return {.operation =
                [=] {
                    empty.shutdown(immediate);
                    queue.shutdown(immediate);
                },
            .check =
                [=] {
                    empty.shutdown(immediate);
                    queue.shutdown(immediate);
                    if (!immediate) queue.task_done();
                },
            .bystanders = {[=] {
                               bool is_down = false;
                               try {
                                   (void)empty.get(true, 3);
                               } catch (const mp::ShutDown&) {
                                   is_down = true;
                               }
                               expect(is_down, "get() of a queue that is shut down");
                           },
                           [=] { queue.join(3); }}};
}

const Row rows[] = {
    {"JoinableQueue.put", [] { return joinable_put({}); }},
    {"JoinableQueue.put, the third",
     [] {
         return joinable_put({1, 2});
     }},
    {"JoinableQueue.get", joinable_get},
    {"JoinableQueue.task_done, not the last", [] { return task_done(1); }},
    {"JoinableQueue.task_done, the last", [] { return task_done(0); }},
    {"JoinableQueue.join, all done", join},
    {"JoinableQueue.join that sleeps", join_after_a_sleep},
    {"JoinableQueue.shutdown", [] { return shutdown(false); }},
    {"JoinableQueue.shutdown(immediate)", [] { return shutdown(true); }},
    {"shutdown with sleepers", [] { return shutdown_with_sleepers(false); }},
    {"shutdown(immediate) with sleepers", [] { return shutdown_with_sleepers(true); }},
};

}  // namespace

TEST_CASE("Who is killed in task_done, join or shutdown leaves the count of items right",
          "[queues][steps]") {
    stepkill::kill_everywhere(rows);
}
