// What happens inside one process: a lock that nobody else wants, values as bytes, blocks of the
// heap. With Google Benchmark; side_by_side.py has its repetitions interleaved at random.
#include <multiprocessing.hpp>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "benchmarks/robust_mutex.hpp"

namespace mp = multiprocessing;

namespace {

template <class Lock>
void acquire_and_release(benchmark::State& state, const Lock& lock) {
    for (auto _ : state) {
        lock.acquire();
        lock.release();
    }
}

void bench_robust_mutex(benchmark::State& state) {
    const mp::RawValue<RobustMutex> mutex;
    mutex.value.initialize();
    for (auto _ : state) {
        mutex.value.lock();
        mutex.value.unlock();
    }
}

void bench_value(benchmark::State& state) {
    const mp::Value<int> value(0);
    for (auto _ : state) value.value += 1;
}

struct Particle {
    double mass;
    std::int64_t charge;
};
const std::vector<Particle> particles(10'000, {1.5, 2});

/// There and back, as a value that travels does: written into one archive, read from another.
void bench_travel(benchmark::State& state) {
    for (auto _ : state) {
        mp::detail::OutputArchive out;
        out(particles);
        mp::detail::InputArchive in(out.view());
        std::vector<Particle> back;
        in(back);
        benchmark::DoNotOptimize(back.data());
    }
}

/// The least that this can be: a copy into new memory, and one out of it into a new vector.
void bench_copies(benchmark::State& state) {
    const std::size_t size = particles.size() * sizeof(Particle);
    for (auto _ : state) {
        const std::unique_ptr<std::byte[]> bytes(new std::byte[size]);
        std::memcpy(bytes.get(), particles.data(), size);
        benchmark::DoNotOptimize(bytes.get());
        std::vector<Particle> back(particles.size());
        std::memcpy(back.data(), bytes.get(), size);
        benchmark::DoNotOptimize(back.data());
    }
}

void bench_heap(benchmark::State& state) {
    auto& allocator = mp::detail::heap().allocator();
    for (auto _ : state) {
        auto block = allocator.allocate(64);
        benchmark::DoNotOptimize(block);
        allocator.deallocate(block);
    }
}

void bench_malloc(benchmark::State& state) {
    for (auto _ : state) {
        void* block = std::malloc(64);
        benchmark::DoNotOptimize(block);
        std::free(block);
    }
}

// A name is row|contender, as in the lines of measure.hpp.
BENCHMARK_CAPTURE(acquire_and_release, lock, mp::Lock())->Name("lock/Lock|multiprocessing");
BENCHMARK(bench_robust_mutex)->Name("lock/Lock|robust mutex");
BENCHMARK_CAPTURE(acquire_and_release, rlock, mp::RLock())->Name("lock/RLock|multiprocessing");
BENCHMARK_CAPTURE(acquire_and_release, semaphore, mp::Semaphore(1))
    ->Name("lock/Semaphore|multiprocessing");
BENCHMARK(bench_value)->Name("lock/Value|multiprocessing");
BENCHMARK(bench_travel)->Name("travel/vector of structs|multiprocessing");
BENCHMARK(bench_copies)->Name("travel/vector of structs|two copies");
BENCHMARK(bench_heap)->Name("heap/64 B|multiprocessing");
BENCHMARK(bench_malloc)->Name("heap/64 B|malloc");

}  // namespace

BENCHMARK_MAIN();
