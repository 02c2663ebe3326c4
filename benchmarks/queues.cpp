// What an item through a queue costs, beside Boost.Interprocess's message_queue, a pipe, and the
// copies that it cannot do without. In one run: the two alternate, and the table shows medians and
// their ratio.
#include <multiprocessing/process.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/sharedctypes.hpp>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include "benchmarks/measure.hpp"

namespace mp = multiprocessing;
namespace bi = boost::interprocess;

namespace {

struct Item {
    char bytes[64];
};
constexpr long items = 500'000;

/// Runs both alternately and prints a row.
void compare(const char* work, const char* goal, int rounds, const std::function<double()>& ours,
             const char* name, const std::function<double()>& theirs) {
    const measure::Comparison times = measure::alternate(rounds, ours, theirs);
    std::printf("%-44s %9.1f ns   %-24s %9.1f ns   %5.2f ×   (goal %s)\n", work, times.ours, name,
                times.theirs, times.ratio(), goal);
}

/// Runs `body` in a child while `here` runs. @returns nanoseconds an item of both
template <class Body, class Here>
double with_child(long times, const Body& body, const Here& here) {
    mp::ForkProcess child(body);
    return measure::nanoseconds_for(times, [&] {
        child.start();
        here();
        child.join();
    });
}

double stream(int maxsize) {
    const mp::Queue<Item> queue(maxsize);
    return with_child(
        items,
        [queue] {
            Item item{};
            for (long i = 0; i < items; ++i) queue.put(item);
        },
        [&] {
            for (long i = 0; i < items; ++i) queue.get();
        });
}

double stream_two_by_two() {
    const mp::Queue<Item> queue;
    const auto put_half = [queue] {
        Item item{};
        for (long i = 0; i < items / 2; ++i) queue.put(item);
    };
    const auto take_half = [queue] {
        for (long i = 0; i < items / 2; ++i) queue.get();
    };
    std::list<mp::ForkProcess> processes;
    for (int i = 0; i < 2; ++i) processes.emplace_back(put_half);
    for (int i = 0; i < 2; ++i) processes.emplace_back(take_half);
    return measure::nanoseconds_for(items, [&] {
        for (auto& process : processes) process.start();
        for (auto& process : processes) process.join();
    });
}

double stream_through_message_queue() {
    const std::string name = "multiprocessing-benchmark-" + std::to_string(::getpid());
    bi::message_queue queue(bi::create_only, name.c_str(), 1000, sizeof(Item));
    bi::message_queue::remove(name.c_str());  // it lives on in who has it open
    return with_child(
        items,
        [&queue] {
            Item item{};
            for (long i = 0; i < items; ++i) queue.send(&item, sizeof(item), 0);
        },
        [&] {
            Item item{};
            bi::message_queue::size_type size = 0;
            unsigned priority = 0;
            for (long i = 0; i < items; ++i) queue.receive(&item, sizeof(item), size, priority);
        });
}

double stream_through_pipe() {
    int ends[2];
    if (::pipe(ends) != 0) std::abort();
    const double time = with_child(
        items,
        [&] {
            Item item{};
            for (long i = 0; i < items; ++i) {
                if (::write(ends[1], &item, sizeof(item)) != sizeof(item)) std::abort();
            }
        },
        [&] {
            Item item{};
            for (long i = 0; i < items; ++i) {
                if (::read(ends[0], &item, sizeof(item)) != sizeof(item)) std::abort();
            }
        });
    ::close(ends[0]);
    ::close(ends[1]);
    return time;
}

double round_trips() {
    constexpr long trips = 100'000;
    const mp::Queue<int> there;
    const mp::Queue<int> back;
    return with_child(
        trips,
        [there, back] {
            for (long i = 0; i < trips; ++i) back.put(there.get());
        },
        [&] {
            for (long i = 0; i < trips; ++i) {
                there.put(1);
                back.get();
            }
        });
}

double round_trips_of_a_flag() {
    constexpr long trips = 100'000;
    const mp::RawValue<long> flag(0);
    const auto wait_for = [](std::atomic_ref<long> word, long value) {
        while (word.load(std::memory_order_acquire) != value) {
        }
    };
    return with_child(
        trips,
        [flag, wait_for] {
            for (long i = 0; i < trips; ++i) {
                wait_for(std::atomic_ref(flag.value), 2 * i + 1);
                std::atomic_ref(flag.value).store(2 * i + 2, std::memory_order_release);
            }
        },
        [&] {
            for (long i = 0; i < trips; ++i) {
                std::atomic_ref(flag.value).store(2 * i + 1, std::memory_order_release);
                wait_for(std::atomic_ref(flag.value), 2 * i + 2);
            }
        });
}

constexpr std::size_t mebibyte = std::size_t{1} << 20;
constexpr long large_items = 500;

double stream_large(int maxsize) {
    const mp::Queue<std::vector<char>> queue(maxsize);
    const std::vector<char> item(mebibyte, 'x');
    return with_child(
        large_items,
        [&] {
            for (long i = 0; i < large_items; ++i) queue.put(item);
        },
        [&] {
            for (long i = 0; i < large_items; ++i) queue.get();
        });
}

double there_and_back_large() {
    const mp::Queue<std::vector<char>> queue;
    const std::vector<char> item(mebibyte, 'x');
    return measure::nanoseconds_for(large_items, [&] {
        for (long i = 0; i < large_items; ++i) {
            queue.put(item);
            queue.get();
        }
    });
}

double copy_twice() {
    const std::vector<char> from(mebibyte, 'x');
    std::vector<char> between(mebibyte, 'y');
    std::vector<char> to(mebibyte, 'z');
    return measure::nanoseconds_for(large_items, [&] {
        for (long i = 0; i < large_items; ++i) {
            std::memcpy(between.data(), from.data(), mebibyte);
            asm volatile("" ::"r"(between.data()) : "memory");
            std::memcpy(to.data(), between.data(), mebibyte);
            asm volatile("" ::"r"(to.data()) : "memory");
        }
    });
}

}  // namespace

int main() {
    mp::freeze_support();
    constexpr int rounds = 21;
    const auto unbounded = [] { return stream(0); };
    compare("64 B items, 1 to 1", "≤ 100 ns, < 1 ×", rounds, unbounded, "message_queue",
            stream_through_message_queue);
    compare(
        "64 B items, 1 to 1, maxsize 1000", "< 1 ×", rounds, [] { return stream(1000); },
        "message_queue", stream_through_message_queue);
    compare("64 B items, 1 to 1", "< 1 ×", rounds, unbounded, "a raw pipe", stream_through_pipe);
    compare("64 B items, 2 to 2", "≤ 2 ×", rounds, stream_two_by_two, "1 to 1", unbounded);
    compare("round trip through two queues", "≤ 1000 ns", rounds, round_trips, "of a shared flag",
            round_trips_of_a_flag);
    compare("1 MiB items, put and get in turn", "≤ 1.3 ×", rounds, there_and_back_large,
            "two memcpys", copy_twice);
    compare(
        "1 MiB items, 1 to 1, maxsize 4", "≤ 1.3 ×", rounds, [] { return stream_large(4); },
        "two memcpys", copy_twice);
    compare(
        "1 MiB items, 1 to 1", "≤ 1.3 ×", rounds, [] { return stream_large(0); }, "two memcpys",
        copy_twice);
}
