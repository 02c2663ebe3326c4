// What becomes of the heap in the long run: a day's worth of blocks in a minute. Several processes
// take blocks of 16 B to 64 MiB, of which hardly a size comes twice, in a mixture that changes, and
// give them back soon or late, in part from another process. At the end of each phase, in which
// much is alive or little: the memory that the heap takes, against what is alive. Beside it glibc's
// malloc, which does the same work in each process for itself.
#include <multiprocessing/process.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/synchronize.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "benchmarks/measure.hpp"

namespace mp = multiprocessing;
using measure::ours;

namespace {

constexpr std::size_t processes = 4;
constexpr double mebibyte = 1 << 20;

/// How much of its segment the heap has ever used, in bytes: address space does not come back.
double address_space_used() {
    return static_cast<double>(mp::detail::heap().allocator().used_space());
}

/// Memory that this process alone has, in bytes.
std::int64_t private_memory() {
    char text[4096];
    text[mp::detail::read_small_file("/proc/self/status", text, sizeof text - 1)] = '\0';
    const char* line = std::strstr(text, "RssAnon:");
    return line ? std::strtoll(line + std::strlen("RssAnon:"), nullptr, 10) * 1024 : 0;
}

/// The same numbers in every run, and for every contender.
class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t operator()() {  // splitmix64
        std::uint64_t z = state_ += 0x9e37'79b9'7f4a'7c15;
        z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9;
        z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11eb;
        return z ^ (z >> 31);
    }
    /// Between 0 and 1.
    double part() { return static_cast<double>((*this)() >> 11) * 0x1p-53; }
    /// All powers of two in between are equally likely.
    double between_powers(double low, double high) {
        return std::exp2(low + part() * (high - low));
    }

  private:
    std::uint64_t state_;
};

/// What a phase asks for: small, medium and large blocks, whose shares of all bytes come and go.
class Mixture {
  public:
    explicit Mixture(int phase) {
        const double small_share = 0.07 + 0.05 * std::sin(1.3 * phase);
        const double medium_share = 0.4 + 0.2 * std::sin(0.9 * phase + 1);
        ranges_[0] = {4, 12, small_share};
        ranges_[1] = {12, 18, medium_share};
        ranges_[2] = {18, 26, 1 - small_share - medium_share};
        double all = 0;
        for (Range& range : ranges_) all = range.up_to += all;
        for (Range& range : ranges_) range.up_to /= all;
    }

    std::size_t size(Random& random) const {
        const double which = random.part();
        const Range* range = ranges_;
        while (which > range->up_to && range != std::end(ranges_) - 1) ++range;
        return static_cast<std::size_t>(random.between_powers(range->low, range->high));
    }

  private:
    struct Range {
        Range() = default;
        /// @param share of all bytes that are asked for
        Range(double from, double to, double share) : low(from), high(to) {
            const double mean = (std::exp2(high) - std::exp2(low)) / ((high - low) * std::log(2));
            up_to = share / mean;
        }
        double low = 0;    // powers of two
        double high = 0;   //
        double up_to = 0;  // first how many of its blocks, then where they end between 0 and 1
    };
    Range ranges_[3];
};

/// A day: so many phases, in each of which each process asks for so many bytes.
struct Plan {
    int phases;
    std::uint64_t bytes;
};

/// What a process keeps alive at most, in bytes: it comes and goes.
std::int64_t most_alive(int phase) { return std::int64_t{phase % 2 == 0 ? 128 : 32} << 20; }

/// What a process tells of itself. They are read between the phases, the first one at any time.
struct alignas(64) Account {
    std::int64_t alive;   // bytes that this process asked for, less those that it gave back
    std::int64_t memory;  // its own
    std::int64_t blocks;  // that it took
};

/// What the processes pass blocks on by, each block with another one's.
using Lot = mp::RawArray<std::uint64_t>;

/// The family's heap. A place is an offset.
struct OurHeap {
    static std::uint64_t take(std::size_t size) {
        return mp::detail::heap().offset_of(mp::detail::allocate(size));
    }
    static void give_back(std::uint64_t place) { mp::detail::deallocate(at(place)); }
    static std::byte* at(std::uint64_t place) { return mp::detail::heap().at(place); }
    static std::size_t lot_of(std::size_t /*process*/, std::uint64_t number) {
        return number % (64 * processes);
    }
};

/// malloc. A place is an address, so the blocks that are passed on stay with the process.
struct Malloc {
    static std::uint64_t take(std::size_t size) {
        void* block = std::malloc(size);
        if (block == nullptr) throw std::bad_alloc();
        return reinterpret_cast<std::uint64_t>(block);
    }
    static void give_back(std::uint64_t place) { std::free(at(place)); }
    static std::byte* at(std::uint64_t place) { return reinterpret_cast<std::byte*>(place); }
    static std::size_t lot_of(std::size_t process, std::uint64_t number) {
        return 64 * process + number % 64;
    }
};

/// The blocks that a process has, the first to die first. They are noted in shared memory, and so
/// are no part of private_memory().
class Living {
  public:
    struct Block {
        double death;
        std::uint64_t place;
        bool operator<(const Block& other) const { return death > other.death; }  // for the heap
    };

    Living() {
        void* memory = ::mmap(nullptr, most * sizeof(Block), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) mp::detail::throw_system_error("mmap");
        blocks_ = static_cast<Block*>(memory);
    }
    Living(const Living&) = delete;
    Living& operator=(const Living&) = delete;
    ~Living() { ::munmap(blocks_, most * sizeof(Block)); }

    [[nodiscard]] bool empty() const { return count_ == 0; }
    [[nodiscard]] bool full() const { return count_ == most; }
    [[nodiscard]] double first_death() const {
        return empty() ? std::numeric_limits<double>::infinity() : blocks_->death;
    }
    void add(Block block) {
        blocks_[count_++] = block;
        std::push_heap(blocks_, blocks_ + count_);
    }
    std::uint64_t remove_first() {
        std::pop_heap(blocks_, blocks_ + count_);
        return blocks_[--count_].place;
    }

  private:
    static constexpr std::size_t most = std::size_t{1} << 23;
    Block* blocks_;
    std::size_t count_ = 0;
};

/// One process's day.
template <class Memory>
class Worker {
  public:
    Worker(std::size_t number, const Lot& lot, Account& account)
        : number_(number), lot_(lot), account_(account), random_(number + 1) {}

    void work(int phase, std::uint64_t bytes) {
        const Mixture mixture(phase);
        const std::int64_t limit = most_alive(phase);
        const double end = clock_ + static_cast<double>(bytes);
        while (clock_ < end) {
            const std::size_t size = std::clamp<std::size_t>(mixture.size(random_), 16,
                                                             static_cast<std::size_t>(limit) / 2);
            clock_ += static_cast<double>(size);
            const std::int64_t room = limit - static_cast<std::int64_t>(size);
            while (living_.first_death() < clock_ || alive_ > room || living_.full()) {
                give_back(living_.remove_first());
            }
            // In bytes that are asked for meanwhile: from a few blocks to more than a phase.
            const double death = clock_ + random_.between_powers(12, 30);
            living_.add({death, pass_on(take(size), size)});
        }
    }

    void end() {
        while (!living_.empty()) give_back(living_.remove_first());
        for (std::uint64_t i = 0; i < 64; ++i) give_back(swap(64 * number_ + i, 0));
    }

  private:
    /// A block has its size in its first bytes; a byte of each page is touched.
    std::uint64_t take(std::size_t size) {
        const std::uint64_t place = Memory::take(size);
        std::byte* bytes = Memory::at(place);
        for (std::size_t i = 4096; i < size; i += 4096) bytes[i] = std::byte{1};
        bytes[size - 1] = std::byte{1};
        std::memcpy(bytes, &size, sizeof size);
        add_alive(static_cast<std::int64_t>(size));
        ++account_.blocks;
        return place;
    }
    void give_back(std::uint64_t place) {
        if (place == 0) return;
        std::size_t size = 0;
        std::memcpy(&size, Memory::at(place), sizeof size);
        add_alive(-static_cast<std::int64_t>(size));
        Memory::give_back(place);
    }
    void add_alive(std::int64_t bytes) {
        alive_ += bytes;
        std::atomic_ref(account_.alive).store(alive_, std::memory_order_relaxed);
    }
    /// Every sixteenth block goes to another process, for one of its. @returns 0 when it had none
    std::uint64_t pass_on(std::uint64_t place, std::size_t size) {
        const std::uint64_t number = random_();
        if (number % 16 != 0 || size > 65'536) return place;
        return swap(Memory::lot_of(number_, number >> 8), place);
    }
    std::uint64_t swap(std::size_t at, std::uint64_t place) {
        return std::atomic_ref(lot_[static_cast<std::ptrdiff_t>(at)]).exchange(place);
    }

    std::size_t number_;
    const Lot& lot_;
    Account& account_;
    Random random_;
    Living living_;
    std::int64_t alive_ = 0;
    double clock_ = 0;  // bytes that were asked for
};

/// What came out of a day.
struct Day {
    double worst_ratio = 0;  // (memory - 16 MiB) / alive, at the end of a phase
    double most_alive = 0;   // bytes, at any time
    double memory_left = 0;  // bytes, when all is given back
    double blocks = 0;
    double nanoseconds = 0;
};

/// Lives a day. @param memory_of returns the memory that the blocks take, from the accounts
template <class Memory>
Day live(Plan plan, const char* contender,
         const std::function<double(std::span<const Account>)>& memory_of) {
    const Lot lot(64 * processes);
    const mp::RawArray<Account> accounts(processes);
    const std::span<Account> all(&accounts[0], processes);
    const mp::Barrier phase_begins(processes + 1);
    const mp::Semaphore phase_ends(0);
    const auto run = [&](std::size_t number) {
        Worker<Memory> worker(number, lot, all[number]);
        const std::int64_t before = private_memory();
        for (int phase = 0; phase <= plan.phases; ++phase) {
            phase_begins.wait();
            if (phase < plan.phases) {
                worker.work(phase, plan.bytes);
            } else {
                worker.end();
            }
            all[number].memory = private_memory() - before;
            phase_ends.release();
        }
    };
    std::vector<mp::ForkProcess> children;
    for (std::size_t i = 0; i < processes; ++i) {
        children.emplace_back([&run, i] { run(i); });
        children.back().start();
    }

    Day day;
    const auto sum = [&](std::int64_t Account::*field) {
        double total = 0;
        for (Account& account : all) {
            total += static_cast<double>(
                std::atomic_ref(account.*field).load(std::memory_order_relaxed));
        }
        return total;
    };
    for (int phase = 0; phase <= plan.phases; ++phase) {
        phase_begins.wait();
        day.nanoseconds += measure::nanoseconds_for(1, [&] {
            for (std::size_t ended = 0; ended < processes;) {
                ended += phase_ends.acquire(true, std::chrono::milliseconds(10)) ? 1 : 0;
                day.most_alive = std::max(day.most_alive, sum(&Account::alive));
            }
        });
        const double memory = memory_of(all);
        const double alive = sum(&Account::alive);
        if (phase == plan.phases) {
            day.memory_left = memory;
        } else {
            day.worst_ratio = std::max(day.worst_ratio, (memory - 16 * mebibyte) / alive);
            measure::Run::report("heap/day", contender, phase + 1, memory);
            if (contender == ours) measure::Run::report("heap/day", "alive", phase + 1, alive);
        }
    }
    day.blocks = sum(&Account::blocks);
    for (mp::ForkProcess& child : children) child.join();
    return day;
}

void report(const char* contender, const Day& day) {
    measure::Run::report("heap/day time", contender, day.nanoseconds / day.blocks);
    measure::Run::report("heap/day memory", contender, day.worst_ratio);
    measure::Run::report("heap/day left", contender, day.memory_left);
}

}  // namespace

int main(int argc, char** argv) {
    const measure::Run run(argc, argv);
    const Plan plan =
        run.is_quick() ? Plan{6, std::uint64_t{128} << 20} : Plan{24, std::uint64_t{640} << 20};
    const double space_before = address_space_used();
    const Day day = live<OurHeap>(plan, ours, [](std::span<const Account>) {
        return static_cast<double>(mp::detail::heap().segment().memory());
    });
    report(ours, day);
    measure::Run::report("heap/day address space", ours,
                         (address_space_used() - space_before) / day.most_alive);
    report("malloc", live<Malloc>(plan, "malloc", [](std::span<const Account> accounts) {
               double memory = 0;
               for (const Account& account : accounts) {
                   memory += static_cast<double>(account.memory);
               }
               return memory;
           }));
}
