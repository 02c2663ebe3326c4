// What a large value costs that goes to another process and comes back, by its size: by a pool and
// by two queues, beside the four copies that it cannot do without. And what a pool answers in, by
// its workers, beside a word that two processes pass to and fro.
#include <multiprocessing/pool.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/start_method/freeze_support.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "benchmarks/measure.hpp"

namespace mp = multiprocessing;
using measure::nanoseconds_for;
using measure::ours;

namespace {

using Bytes = std::vector<char>;

int square(int x) { return x * x; }
Bytes give_back(Bytes bytes) { return bytes; }

constexpr std::size_t kibibyte = std::size_t{1} << 10;
constexpr std::size_t mebibyte = std::size_t{1} << 20;

/// How often a value of that size is sent in one measurement.
int times_of(std::size_t size) {
    return static_cast<int>(std::clamp<std::size_t>(64 * mebibyte / size, 3, 400));
}

/// Copies of a value into memory that has been used, one after the other.
class Copies {
  public:
    explicit Copies(std::size_t size) : from_(size, 'x'), to_(size, 'y') {}
    void copy_four_times() {
        for (int i = 0; i < 4; ++i) {
            from_.swap(to_);
            std::memcpy(to_.data(), from_.data(), from_.size());
            asm volatile("" ::"r"(to_.data()) : "memory");
        }
    }
    /// The same into memory that the kernel has yet to give.
    void copy_four_times_into_fresh_memory() {
        for (int i = 0; i < 4; ++i) {
            void* const to = ::mmap(nullptr, from_.size(), PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (to == MAP_FAILED) std::abort();
            std::memcpy(to, from_.data(), from_.size());
            asm volatile("" ::"r"(to) : "memory");
            ::munmap(to, from_.size());
        }
    }

  private:
    Bytes from_;
    Bytes to_;
};

/// The same four copies, two of them by another process, in memory that both have mapped. Both are
/// awake, and nobody goes on when one is killed: the least that a value costs there and back.
class RawEcho {
  public:
    explicit RawEcho(std::size_t size)
        : from_(size, 'x'), to_(size, 'y'), there_(size), back_(size), turn_(0) {
        process_.start();
    }
    RawEcho(const RawEcho&) = delete;
    RawEcho& operator=(const RawEcho&) = delete;
    ~RawEcho() { process_.terminate(); }

    void give_back() {
        std::memcpy(&there_[0], from_.data(), from_.size());
        const long next = turn_.value + 1;
        std::atomic_ref(turn_.value).store(next, std::memory_order_release);
        wait_for(next + 1);
        std::memcpy(to_.data(), &back_[0], to_.size());
        asm volatile("" ::"r"(to_.data()) : "memory");
    }

  private:
    void wait_for(long turn) {
        const std::atomic_ref word(turn_.value);
        while (word.load(std::memory_order_acquire) != turn) {
        }
    }
    void answer() {
        for (long turn = 1;; turn += 2) {
            wait_for(turn);
            std::memcpy(to_.data(), &there_[0], to_.size());
            std::memcpy(&back_[0], to_.data(), to_.size());
            std::atomic_ref(turn_.value).store(turn + 1, std::memory_order_release);
        }
    }

    Bytes from_;
    Bytes to_;
    mp::RawArray<char> there_;
    mp::RawArray<char> back_;
    mp::RawValue<long> turn_;
    mp::ForkProcess process_{[this] { answer(); }};
};

/// A process that gives back what it gets through a queue, through another one.
class Echo {
  public:
    Echo()
        : process_([there = there_, back = back_] {
              for (Bytes bytes = there.get(); !bytes.empty(); bytes = there.get()) back.put(bytes);
          }) {
        process_.start();
        give_back({'x'});
    }
    Echo(const Echo&) = delete;
    Echo& operator=(const Echo&) = delete;
    ~Echo() {
        there_.put({});
        process_.join();
    }

    void give_back(const Bytes& bytes) {
        there_.put(bytes);
        if (back_.get().size() != bytes.size()) std::abort();
    }

  private:
    mp::Queue<Bytes> there_{};
    mp::Queue<Bytes> back_{};
    mp::ForkProcess process_;
};

template <class Work>
double repeated(std::size_t size, Work work) {
    const int times = times_of(size);
    work();
    return nanoseconds_for(times, [&] {
        for (int i = 0; i < times; ++i) work();
    });
}

void bench_size(const measure::Run& run, std::size_t size, const std::string& name) {
    const Bytes bytes(size, 'x');
    Copies copies(size);
    const measure::Contender four{
        "4 memcpys", [&] { return repeated(size, [&] { copies.copy_four_times(); }); }};
    const measure::Contender fresh{
        "4 copies into fresh memory",
        [&] { return nanoseconds_for(1, [&] { copies.copy_four_times_into_fresh_memory(); }); }};
    // Its process never sleeps, so it is there only for its own turns.
    const measure::Contender four_by_two{"the same by two processes", [&] {
                                             RawEcho raw(size);
                                             return repeated(size, [&] { raw.give_back(); });
                                         }};
    {
        mp::Pool pool(1);
        Echo echo;
        run.take_turns(
            "payload/apply " + name, 7,
            {{ours, [&] { return repeated(size, [&] { pool.apply(give_back, bytes); }); }},
             four,
             four_by_two});
        run.take_turns("payload/queue " + name, 7,
                       {{ours, [&] { return repeated(size, [&] { echo.give_back(bytes); }); }},
                        four,
                        four_by_two});
    }
    run.take_turns("payload/first apply " + name, 9,
                   {{ours,
                     [&] {
                         ::usleep(1'100'000);  // nothing rests from what was before
                         mp::Pool pool(1);
                         pool.apply(square, 1);
                         return nanoseconds_for(1, [&] { pool.apply(give_back, bytes); });
                     }},
                    fresh});
    run.take_turns("payload/first queue " + name, 9,
                   {{ours,
                     [&] {
                         ::usleep(1'100'000);
                         Echo echo;
                         return nanoseconds_for(1, [&] { echo.give_back(bytes); });
                     }},
                    fresh});
}

/// A word that another process answers by the next number, both awake.
double pass_a_flag() {
    constexpr long trips = 50'000;
    const mp::RawValue<long> flag(0);
    const auto wait_for = [](std::atomic_ref<long> word, long value) {
        while (word.load(std::memory_order_acquire) != value) {
        }
    };
    mp::ForkProcess other([flag, wait_for] {
        for (long i = 0; i < trips; ++i) {
            wait_for(std::atomic_ref(flag.value), 2 * i + 1);
            std::atomic_ref(flag.value).store(2 * i + 2, std::memory_order_release);
        }
    });
    other.start();
    std::atomic_ref(flag.value).store(1, std::memory_order_release);
    wait_for(std::atomic_ref(flag.value), 2);  // it runs
    const double time = nanoseconds_for(trips - 1, [&] {
        for (long i = 1; i < trips; ++i) {
            std::atomic_ref(flag.value).store(2 * i + 1, std::memory_order_release);
            wait_for(std::atomic_ref(flag.value), 2 * i + 2);
        }
    });
    other.join();
    return time;
}

/// How long a pool takes for a call, when its workers are awake.
double apply_awake(mp::Pool& pool) {
    return nanoseconds_for(1'000, [&] {
        for (int i = 0; i < 1'000; ++i) pool.apply(square, i);
    });
}
/// The same, when they sleep.
double apply_asleep(mp::Pool& pool) {
    ::usleep(2'000);
    return nanoseconds_for(1, [&] { pool.apply(square, 1); });
}

void bench_workers(const measure::Run& run) {
    mp::Pool one(1);
    mp::Pool two(2);
    mp::Pool many(4 * mp::process_cpu_count());
    for (mp::Pool* pool : {&one, &two, &many}) pool->map(square, measure::numbers(1'000), 1);
    const measure::Contender flag{"a shared flag", pass_a_flag};
    const auto awake = [](mp::Pool& pool) {
        return measure::Contender{ours, [&pool] { return apply_awake(pool); }};
    };
    run.take_turns("pool/apply by 1", 21, {awake(one), flag});
    run.take_turns("pool/apply by 2", 21, {awake(two), flag});
    run.take_turns("pool/apply by 4 a core", 41,
                   {awake(many), {"one worker, asleep", [&] { return apply_asleep(one); }}});
}

}  // namespace

int main(int argc, char** argv) {
    mp::freeze_support();
    const measure::Run run(argc, argv);
    bench_workers(run);
    const std::size_t sizes[] = {64 * kibibyte, mebibyte, 16 * mebibyte, 64 * mebibyte};
    const char* const names[] = {"64 KiB", "1 MiB", "16 MiB", "64 MiB"};
    for (std::size_t i = 0; i < std::size(sizes) - (run.is_quick() ? 1 : 0); ++i) {
        bench_size(run, sizes[i], names[i]);
    }
}
