// What an item through a queue costs, beside Boost.Interprocess's message_queue, a pipe, and the
// copies that it cannot do without; and how that changes with its size and the queue's length.
#include <multiprocessing/process.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/sharedctypes.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <list>
#include <string>
#include <vector>

#include "benchmarks/measure.hpp"
#include "benchmarks/raw_bytes.hpp"

namespace mp = multiprocessing;
namespace bi = boost::interprocess;
using measure::ours;

namespace {

struct Item {
    char bytes[64];
};
constexpr long items = 200'000;

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

/// As stream, in batches of 100.
template <class T>
double stream_in_batches() {
    constexpr std::size_t length = 100;
    constexpr long batched_items = 1'000'000;
    const mp::Queue<T> queue;
    return with_child(
        batched_items,
        [queue] {
            const std::vector<T> batch(length);
            for (long i = 0; i < batched_items; i += length) queue.put_many(batch);
        },
        [&] {
            std::vector<T> batch;
            for (long i = 0; i < batched_items; i += static_cast<long>(batch.size())) {
                batch.clear();
                queue.get_many_into(batch, length);
            }
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

/// A ring that one may fill and one may empty. Nobody goes on when one of them is killed.
double stream_through_ring() {
    using Ring = boost::lockfree::spsc_queue<Item, boost::lockfree::capacity<1000>>;
    void* const place =
        ::mmap(nullptr, sizeof(Ring), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) std::abort();
    Ring& ring = *new (place) Ring;
    const double time = with_child(
        items,
        [&ring] {
            const Item item{};
            for (long i = 0; i < items; ++i) {
                while (!ring.push(item)) {
                }
            }
        },
        [&] {
            Item item{};
            for (long i = 0; i < items; ++i) {
                while (!ring.pop(item)) {
                }
            }
        });
    ::munmap(place, sizeof(Ring));
    return time;
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
    constexpr long trips = 50'000;
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
    constexpr long trips = 50'000;
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
constexpr long large_items = 200;

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

/// How many items of that size take a few hundredths of a second.
long items_of(std::size_t size) {
    return std::clamp(static_cast<long>(200 * mebibyte / (size + 2'048)), 8L, 100'000L);
}

double stream_of_size(std::size_t size) {
    const long count = items_of(size);
    const mp::Queue<std::string> queue(64);
    const std::string item(size, 'x');
    return with_child(
        count,
        [&] {
            for (long i = 0; i < count; ++i) queue.put(item);
        },
        [&] {
            for (long i = 0; i < count; ++i) queue.get();
        });
}

double stream_of_size_through_pipe(std::size_t size) {
    const long count = items_of(size);
    int ends[2];
    if (::pipe(ends) != 0) std::abort();
    std::string item(size, 'x');
    const double time = with_child(
        count,
        [&] {
            for (long i = 0; i < count; ++i) write_all(ends[1], item.data(), size);
        },
        [&] {
            for (long i = 0; i < count; ++i) read_all(ends[0], item.data(), size);
        });
    ::close(ends[0]);
    ::close(ends[1]);
    return time;
}

double round_trips_of_size(std::size_t size) {
    const long count = std::max(items_of(size) / 10, 4L);
    const mp::Queue<std::string> there(4);
    const mp::Queue<std::string> back(4);
    const std::string item(size, 'x');
    return with_child(
        count,
        [&] {
            for (long i = 0; i < count; ++i) back.put(there.get());
        },
        [&] {
            for (long i = 0; i < count; ++i) {
                there.put(item);
                back.get();
            }
        });
}

void bench_by_size(const measure::Run& run) {
    for (std::size_t size = 8; size <= 64 * mebibyte; size *= 8) {
        const auto x = static_cast<double>(size);
        run.take_turns_at(x, "queue/size", 6,
                          {{ours, [size] { return stream_of_size(size); }},
                           {"a raw pipe", [size] { return stream_of_size_through_pipe(size); }}});
        run.take_turns_at(x, "queue/round trip by size", 4,
                          {{ours, [size] { return round_trips_of_size(size); }}});
    }
}

/// That many are put before the first is taken.
void bench_by_length(const measure::Run& run) {
    for (long length = 1'000; length <= (run.is_quick() ? 1'000'000 : 10'000'000); length *= 10) {
        run.take_turns_at(static_cast<double>(length), "queue/length", 4,
                          {{ours, [length] {
                                const mp::Queue<long> queue;
                                return measure::nanoseconds_for(length, [&] {
                                    for (long i = 0; i < length; ++i) queue.put(i);
                                    for (long i = 0; i < length; ++i) queue.get();
                                });
                            }}});
    }
}

}  // namespace

int main(int argc, char** argv) {
    const measure::Run run(argc, argv);
    constexpr int rounds = 21;
    const measure::Contender unbounded{ours, [] { return stream(0); }};
    const measure::Contender copies{"two memcpys", copy_twice};
    run.take_turns("queue/64 B", rounds,
                   {unbounded,
                    {"Boost spsc_queue", stream_through_ring},
                    {"Boost message_queue", stream_through_message_queue},
                    {"a raw pipe", stream_through_pipe}});
    const measure::Contender one_by_one{"one by one", unbounded.measure};
    run.take_turns("queue/64 B in batches", rounds, {{ours, stream_in_batches<Item>}, one_by_one});
    run.take_turns("queue/int in batches", rounds, {{ours, stream_in_batches<int>}, one_by_one});
    run.take_turns("queue/64 B bounded", rounds,
                   {{ours, [] { return stream(1000); }},
                    {"Boost message_queue", stream_through_message_queue}});
    run.take_turns("queue/64 B two by two", rounds,
                   {{ours, stream_two_by_two}, {"one to one", unbounded.measure}});
    run.take_turns("queue/round trip", rounds,
                   {{ours, round_trips}, {"a shared flag", round_trips_of_a_flag}});
    run.take_turns("queue/1 MiB in turn", rounds, {{ours, there_and_back_large}, copies});
    run.take_turns("queue/1 MiB bounded", rounds, {{ours, [] { return stream_large(4); }}, copies});
    run.take_turns("queue/1 MiB", rounds, {{ours, [] { return stream_large(0); }}, copies});
    bench_by_size(run);
    bench_by_length(run);
}
