// What mapping a function over items costs here, beside what one would take for it within one
// process: threads with a queue of functions, oneTBB, OpenMP, Taskflow. By the length of a task,
// and by how the items are divided. Those that are not installed are left out.
#include <multiprocessing/pool.hpp>
#include <multiprocessing/start_method/freeze_support.hpp>

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <mutex>
#include <queue>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#ifdef PEERS_TBB
#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#endif
#ifdef PEERS_TASKFLOW
#include <taskflow/algorithm/for_each.hpp>
#include <taskflow/taskflow.hpp>
#endif

#include "benchmarks/measure.hpp"

namespace mp = multiprocessing;
using measure::nanoseconds_for;
using measure::ours;

namespace {

using Numbers = std::vector<int>;
using Task = int (*)(int);

/// How the items become tasks: as each does it when nothing is said, or each item for itself.
enum class Division { by_default, one_by_one };

/// One of those that map: its name in the table, and a function that applies the task to all items.
struct Peer {
    std::string name;
    std::function<void(const Numbers& items, Numbers& results, Division)> map;
};

int square(int x) { return x * x; }

/// A chain of multiplications, which takes as long wherever it is compiled into. Counted and not
/// timed: a task that was interrupted has still to do all of it.
[[gnu::noinline]] int work(int steps) {
    unsigned chained = 1;
    for (int i = 0; i < steps; ++i) {
        chained = chained * 3 + 1;
        asm volatile("" : "+r"(chained));  // or the compiler would work out the end
    }
    return static_cast<int>(chained);
}

/// @returns how many steps of `work` take that long; the least of some measurements counts
int steps_of(double nanoseconds) {
    static const double one = [] {
        constexpr int steps = 100'000;
        double least = std::numeric_limits<double>::max();
        for (int i = 0; i < 50; ++i) {
            least = (std::min)(least, nanoseconds_for(steps, [] { work(steps); }));
        }
        return least;
    }();
    return (std::max)(static_cast<int>(nanoseconds / one), 1);
}

/// Threads that take functions from a queue under a mutex: what one writes, or copies, first.
class ThreadPool {
  public:
    explicit ThreadPool(int threads) {
        for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { serve(); });
    }
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;
    ~ThreadPool() {
        {
            const std::lock_guard guard(mutex_);
            is_closed_ = true;
        }
        changed_.notify_all();
    }

    void submit(std::function<void()> task) {
        {
            const std::lock_guard guard(mutex_);
            tasks_.push(std::move(task));
            ++unfinished_;
        }
        changed_.notify_one();
    }
    void wait_for_all() {
        std::unique_lock lock(mutex_);
        all_done_.wait(lock, [this] { return unfinished_ == 0; });
    }
    [[nodiscard]] std::size_t size() const { return threads_.size(); }

  private:
    void serve() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return is_closed_ || !tasks_.empty(); });
            if (tasks_.empty()) return;
            const std::function<void()> task = std::move(tasks_.front());
            tasks_.pop();
            lock.unlock();
            task();
            lock.lock();
            if (--unfinished_ == 0) all_done_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::condition_variable all_done_;
    std::queue<std::function<void()>> tasks_;
    std::size_t unfinished_ = 0;
    bool is_closed_ = false;
    std::vector<std::jthread> threads_;  // last, so that they end while the rest still lives
};

template <Task task>
void map_in_turn(const Numbers& items, Numbers& results, Division) {
    std::transform(items.begin(), items.end(), results.begin(), task);
}

/// By default a function for each chunk, and as many chunks as Pool.map makes: four a thread.
template <Task task>
void map_by_functions(ThreadPool& pool, const Numbers& items, Numbers& results, Division division) {
    const std::size_t length =
        division == Division::one_by_one ? 1 : items.size() / (4 * pool.size()) + 1;
    for (std::size_t begin = 0; begin < items.size(); begin += length) {
        const std::size_t end = (std::min)(begin + length, items.size());
        pool.submit([&items, &results, begin, end] {
            for (std::size_t i = begin; i < end; ++i) results[i] = task(items[i]);
        });
    }
    pool.wait_for_all();
}

#ifdef PEERS_TBB
template <Task task>
void map_by_tbb(const Numbers& items, Numbers& results, Division division) {
    const oneapi::tbb::blocked_range<std::size_t> all(0, items.size());
    const auto apply = [&](const oneapi::tbb::blocked_range<std::size_t>& range) {
        for (std::size_t i = range.begin(); i < range.end(); ++i) results[i] = task(items[i]);
    };
    if (division == Division::one_by_one) {
        oneapi::tbb::parallel_for(all, apply, oneapi::tbb::simple_partitioner());
    } else {
        oneapi::tbb::parallel_for(all, apply);
    }
}
#endif

#ifdef _OPENMP
template <Task task>
void map_by_openmp(const Numbers& items, Numbers& results, Division division) {
    const std::size_t count = items.size();
    if (division == Division::one_by_one) {
#pragma omp parallel for schedule(dynamic, 1)
        for (std::size_t i = 0; i < count; ++i) results[i] = task(items[i]);
    } else {
#pragma omp parallel for
        for (std::size_t i = 0; i < count; ++i) results[i] = task(items[i]);
    }
}
#endif

#ifdef PEERS_TASKFLOW
template <Task task>
void map_by_taskflow(tf::Executor& executor, const Numbers& items, Numbers& results,
                     Division division) {
    tf::Taskflow flow;
    const auto apply = [&](std::size_t i) { results[i] = task(items[i]); };
    if (division == Division::one_by_one) {
        flow.for_each_index(std::size_t{0}, items.size(), std::size_t{1}, apply,
                            tf::DynamicPartitioner(1));
    } else {
        flow.for_each_index(std::size_t{0}, items.size(), std::size_t{1}, apply);
    }
    executor.run(flow).wait();
}
#endif

/// The workers of all, a core each. The processes begin before there are threads.
struct Workers {
    int count = mp::process_cpu_count();
    mp::Pool processes{count};
    ThreadPool threads{count};
#ifdef PEERS_TASKFLOW
    tf::Executor executor{static_cast<std::size_t>(count)};
#endif
};

constexpr const char* alone = "one core";

template <Task task>
std::vector<Peer> peers_of(Workers& workers) {
    std::vector<Peer> peers{
        {alone, map_in_turn<task>},
        {ours,
         [&](const Numbers& items, Numbers& results, Division division) {
             const auto chunksize =
                 division == Division::one_by_one ? std::optional(1) : std::nullopt;
             results = workers.processes.map(task, items, chunksize);
         }},
        {"threads, std::function", [&](const Numbers& items, Numbers& results, Division division) {
             map_by_functions<task>(workers.threads, items, results, division);
         }}};
#ifdef PEERS_TBB
    peers.push_back({"oneTBB", map_by_tbb<task>});
#endif
#ifdef _OPENMP
    peers.push_back({"OpenMP", map_by_openmp<task>});
#endif
#ifdef PEERS_TASKFLOW
    peers.push_back({"Taskflow", [&](const Numbers& items, Numbers& results, Division division) {
                         map_by_taskflow<task>(workers.executor, items, results, division);
                     }});
#endif
    return peers;
}

/// Those who are not here leave no line in the output, so this says why.
void tell_who_is_missing() {
#ifndef PEERS_TBB
    std::fputs("peers: not measured: oneTBB. Debian has it as libtbb-dev.\n", stderr);
#endif
#ifndef _OPENMP
    std::fputs("peers: not measured: OpenMP. g++ has it; for clang++ it is libomp-dev.\n", stderr);
#endif
#ifndef PEERS_TASKFLOW
    std::fputs(
        "peers: not measured: Taskflow. Debian 12 has no package of it; CMake finds its headers "
        "where -DPEERS_TASKFLOW_INCLUDE_DIR=… says.\n",
        stderr);
#endif
}

/// @returns nanoseconds an item; what was computed is compared with what it should be
double time_of(const Peer& peer, const Numbers& items, const Numbers& expected, Division division) {
    Numbers results(items.size());
    ::usleep(5'000);  // the threads of the peer before look out for work a while, on our core
    const double time = nanoseconds_for(items.size(), [&] { peer.map(items, results, division); });
    if (results != expected) {
        std::fprintf(stderr, "peers: %s computed something else\n", peer.name.c_str());
        std::exit(1);
    }
    return time;
}

/// Calls `report(name, nanoseconds)` for each measurement; the peers take turns.
template <class Report>
void take_turns(const std::vector<Peer>& peers, const Numbers& items, Division division, int rounds,
                const Report& report) {
    Numbers expected(items.size());
    peers.front().map(items, expected, Division::by_default);
    for (; rounds > 0; --rounds) {
        for (const Peer& peer : peers) {
            report(peer.name, time_of(peer, items, expected, division));
        }
    }
}

void bench_rows(const measure::Run& run, Workers& workers) {
    const auto row = [&](const char* name, const std::vector<Peer>& peers, const Numbers& items,
                         Division division, int rounds) {
        take_turns(peers, items, division, run.rounds(rounds),
                   [&](const std::string& who, double time) { run.report(name, who, time); });
    };
    const std::vector<Peer> squares = peers_of<square>(workers);
    const std::vector<Peer> tasks = peers_of<work>(workers);
    row("peers/x*x", squares, Numbers(1'000'000, 3), Division::by_default, 20);
    row("peers/x*x by 1", squares, Numbers(50'000, 3), Division::one_by_one, 20);
    row("peers/microsecond by 1", tasks, Numbers(20'000, steps_of(1e3)), Division::one_by_one, 20);
    row("peers/millisecond by 1", tasks, Numbers(40, steps_of(1e6)), Division::one_by_one, 12);
}

void bench_by_length(const measure::Run& run, Workers& workers) {
    const std::vector<Peer> peers = peers_of<work>(workers);
    const std::string bound = std::to_string(workers.count) + " × one core";
    for (const double microseconds : {0.1, 1.0, 10.0, 100.0, 1'000.0}) {
        const int count = std::clamp(static_cast<int>(20e3 / microseconds), 40, 50'000);
        const Numbers items(static_cast<std::size_t>(count), steps_of(1e3 * microseconds));
        for (const auto& [division, row] : {std::pair(Division::by_default, "peers/by length"),
                                            {Division::one_by_one, "peers/by length by 1"}}) {
            take_turns(peers, items, division, run.rounds(8),
                       [&](const std::string& who, double time) {
                           run.report(row, who, microseconds, time);
                           if (who == alone) {
                               run.report(row, bound, microseconds, time / workers.count);
                           }
                       });
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    mp::freeze_support();
    const measure::Run run(argc, argv);
    tell_who_is_missing();
    Workers workers;
    bench_rows(run, workers);
    bench_by_length(run, workers);
}
