// heap/allocator.hpp: blocks of every size, what they leave behind, and kill -9 amid it all.
// SPDX-License-Identifier: MIT
#include "tests/heap/support.hpp"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <thread>
#include <vector>

TEST_CASE("Size classes cover every size with at most a fifth unused", "[heap]") {
    for (std::uint64_t units = 1; units < 200'000; ++units) {
        const std::uint64_t size = units_of_class(class_of_units(units));
        REQUIRE(size >= units);
        REQUIRE((units <= 8 || size * 4 <= units * 5));
        REQUIRE(class_of_units(size) == class_of_units(units));
    }
}

TEST_CASE("Blocks are aligned, large enough, and apart from each other", "[heap]") {
    const auto heap = heap_of(64 << 20);
    support::Random random(1);
    std::map<Offset, std::size_t> blocks;
    for (int round = 0; round < 20'000; ++round) {
        if (blocks.size() > 200 || (!blocks.empty() && random() % 3 == 0)) {
            const auto victim = std::next(blocks.begin(), random() % blocks.size());
            heap->allocator().deallocate(victim->first);
            blocks.erase(victim);
            continue;
        }
        const std::size_t size = random() % (round % 16 == 0 ? 200'000 : 3'000);
        const Offset block = heap->allocator().allocate(size);
        REQUIRE(block % block_alignment == 0);
        REQUIRE(heap->allocator().usable_size(block) >= size);
        const auto next = blocks.lower_bound(block);
        REQUIRE((next == blocks.end() || block + size <= next->first));
        REQUIRE(
            (next == blocks.begin() || std::prev(next)->first + std::prev(next)->second <= block));
        std::memset(heap->at(block), 0xAB, size);
        blocks[block] = std::max<std::size_t>(size, 1);
    }
}

TEST_CASE("A block of zeros is zero whatever its memory held before", "[heap]") {
    const auto heap = heap_of(64 << 20);
    for (const std::size_t size : {1u, 64u, 5'000u, 70'000u, 1'000'000u, 9'000'000u}) {
        const Offset used = heap->allocator().allocate(size);
        std::memset(heap->at(used), 0xFF, size);
        heap->allocator().deallocate(used);
        const Offset zeroed = heap->allocator().allocate_zeroed(size);
        const std::byte* const bytes = heap->at(zeroed);
        REQUIRE(std::all_of(bytes, bytes + size, [](std::byte b) { return b == std::byte{0}; }));
        heap->allocator().deallocate(zeroed);
    }
}

TEST_CASE("A full segment is a bad_alloc, and what is freed can be had again", "[heap]") {
    const auto heap = heap_of(32 << 20);
    for (const std::size_t size : {std::size_t{64}, std::size_t{8'000}, std::size_t{1} << 20}) {
        std::vector<Offset> blocks;
        const auto fill = [&] {
            for (;;) blocks.push_back(heap->allocator().allocate(size));
        };
        REQUIRE_THROWS_AS(fill(), std::bad_alloc);
        REQUIRE(blocks.size() > 4);
        const std::size_t count = blocks.size();
        for (const Offset block : blocks) heap->allocator().deallocate(block);
        blocks.clear();
        REQUIRE_THROWS_AS(fill(), std::bad_alloc);
        REQUIRE(blocks.size() >= count);
        for (const Offset block : blocks) heap->allocator().deallocate(block);
        if (size < largest_small_block) return;  // its spans stay with their size
    }
}

TEST_CASE("A block larger than the segment or the memory is a bad_alloc", "[heap]") {
    REQUIRE_THROWS_AS(heap_of(32 << 20)->allocator().allocate(std::size_t{1} << 40),
                      std::bad_alloc);
    REQUIRE_THROWS_AS((void)allocate(available_memory() + (std::size_t{1} << 30)), std::bad_alloc);
}

TEST_CASE("Once the segment is used up, larger free blocks are split", "[heap]") {
    const auto heap = heap_of(32 << 20);
    const Offset large = heap->allocator().allocate(16 << 20);
    std::vector<Offset> rest;
    REQUIRE_THROWS_AS(
        [&] {
            for (;;) rest.push_back(heap->allocator().allocate(1 << 20));
        }(),
        std::bad_alloc);
    heap->allocator().deallocate(large);
    for (int i = 0; i < 12; ++i) REQUIRE(heap->allocator().allocate(1 << 20) != 0);
}

TEST_CASE("A large block takes memory as it is touched and gives it back when freed", "[heap]") {
    const auto heap = heap_of(std::size_t{2} << 30);
    const std::size_t before = heap->segment().memory();
    const std::size_t size = std::size_t{1} << 30;
    const Offset block = heap->allocator().allocate(size);
    REQUIRE(heap->segment().memory() - before < (1 << 20));
    std::memset(heap->at(block), 1, 64 << 20);
    REQUIRE(heap->segment().memory() - before >= (64 << 20));
    heap->allocator().deallocate(block);
    REQUIRE(heap->segment().memory() - before < (1 << 20));
}

TEST_CASE("Many freed blocks of a megabyte leave no more than eight of them behind", "[heap]") {
    const auto heap = heap_of(std::size_t{1} << 30);
    const std::size_t before = heap->segment().memory();
    std::vector<Offset> blocks;
    for (int i = 0; i < 100; ++i) {
        blocks.push_back(heap->allocator().allocate(1 << 20));
        std::memset(heap->at(blocks.back()), 1, 1 << 20);
    }
    for (const Offset block : blocks) heap->allocator().deallocate(block);
    const std::size_t records = Allocator::records_size(100 << 20);
    REQUIRE(heap->segment().memory() - before <= (8 << 20) + (64 << 10) + records);
}

TEST_CASE("Threads that allocate at once get blocks of their own", "[heap]") {
    const auto heap = heap_of(256 << 20);
    std::atomic<int> torn{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t) {
        threads.emplace_back([&, t] {
            support::Random random(static_cast<unsigned>(t));
            std::vector<std::uint64_t*> mine;
            const auto value = static_cast<std::uint64_t>(t + 1);
            for (int round = 0; round < 5'000; ++round) {
                const Offset block = heap->allocator().allocate(8 + random() % 300);
                mine.push_back(heap->at<std::uint64_t>(block));
                *mine.back() = value;
                if (mine.size() < 20) continue;
                for (std::uint64_t* own : mine) {
                    torn += *own != value;
                    heap->allocator().deallocate(heap->offset_of(own));
                }
                mine.clear();
            }
        });
    }
    for (auto& thread : threads) thread.join();
    REQUIRE(torn == 0);
}

TEST_CASE("A few freed blocks of every size keep their pages", "[heap]") {
    const auto heap = heap_of(256 << 20);
    constexpr std::size_t large = 1 << 20;
    constexpr std::size_t small = 192 << 10;
    const auto use = [&](std::size_t size) {
        const Offset block = heap->allocator().allocate(size);
        std::memset(heap->at(block), 1, size);
        return block;
    };
    const auto page_faults = [] {
        rusage usage{};
        ::getrusage(RUSAGE_SELF, &usage);
        return usage.ru_minflt;
    };
    // As many as may keep theirs, so that there is no room for others at first.
    std::vector<Offset> blocks;
    for (int i = 0; i < 20; ++i) blocks.push_back(use(large));
    for (const Offset block : blocks) heap->allocator().deallocate(block);
    const auto before = page_faults();
    for (int i = 0; i < 100; ++i) {
        for (const std::size_t size : {small, large, small}) {
            heap->allocator().deallocate(use(size));
        }
    }
    REQUIRE(page_faults() - before < 3 * 256);  // anew each time it would be 20,000
}

TEST_CASE("What many freed blocks held goes back", "[heap]") {
    const auto heap = heap_of(256 << 20);
    std::vector<Offset> blocks;
    for (int i = 0; i < 100; ++i) {
        const std::size_t size = i % 2 == 0 ? 1 << 20 : 192 << 10;
        blocks.push_back(heap->allocator().allocate(size));
        std::memset(heap->at(blocks.back()), 1, size);
    }
    for (const Offset block : blocks) heap->allocator().deallocate(block);
    std::vector<unsigned char> pages((256 << 20) / 4096);
    REQUIRE(::mincore(heap->at(0), 256 << 20, pages.data()) == 0);
    const auto kept = std::ranges::count_if(pages, [](unsigned char page) { return page & 1; });
    REQUIRE(kept * 4096 < 12 << 20);
}

// --- the kill storm ---

namespace {

constexpr int storm_workers = 8;
constexpr int blocks_each = 64;

/// What a worker holds, in shared memory, so that the survivors' blocks can be checked at the end.
struct StormTable {
    struct Row {
        std::atomic<std::uint64_t> rounds;
        std::atomic<Offset> blocks[blocks_each];
    };
    Row rows[storm_workers];
};

std::uint64_t pattern_of(Offset block, std::size_t word) {
    return block * 0x9E3779B97F4A7C15u + word;
}

constexpr std::size_t head_words = 3;  // size in words, owner, own place

void fill_block(Offset block, std::uint64_t owner, std::size_t words) {
    auto* const content = heap().at<std::uint64_t>(block);
    content[0] = words;
    content[1] = owner;
    content[2] = block;
    for (std::size_t i = head_words; i < words; ++i) content[i] = pattern_of(block, i);
}

bool block_is_intact(Offset block, std::uint64_t owner) {
    const auto* const content = heap().at<std::uint64_t>(block);
    if (content[1] != owner || content[2] != block) return false;
    for (std::size_t i = head_words; i < content[0]; ++i) {
        if (content[i] != pattern_of(block, i)) return false;
    }
    return true;
}

/// Allocates and frees at random for ever; ends with 1 when one of its blocks was overwritten.
[[noreturn]] void storm_worker(StormTable::Row& row, std::uint64_t owner, unsigned seed) {
    support::Random random(seed);
    for (;;) {
        std::atomic<Offset>& place = row.blocks[random() % blocks_each];
        if (const Offset old = place.load()) {
            if (!block_is_intact(old, owner)) ::_exit(1);
            place.store(0);  // first: a block that is freed must not be looked at any more
            heap().allocator().deallocate(old);
        } else {
            const std::size_t words = head_words + random() % (random() % 50 == 0 ? 40'000 : 400);
            const Offset block = heap().allocator().allocate(words * 8);
            fill_block(block, owner, words);
            place.store(block);
        }
        row.rounds.fetch_add(1);
    }
}

}  // namespace

TEST_CASE("Processes killed inside the allocator leave every other block intact", "[heap][storm]") {
    const support::Watchdog watchdog(240);
    const int kills = support::sanitized ? 200 : 1000;
    InHeap<StormTable> table;
    support::Random random(7);
    std::vector<pid_t> pids(storm_workers);
    std::uint64_t owner = 1;
    std::vector<std::uint64_t> owners(storm_workers);
    const auto start = [&](std::size_t worker) {
        // What the victim held is lost, as designed; its successor starts with nothing.
        for (auto& block : table->rows[worker].blocks) block.store(0);
        owners[worker] = ++owner;
        pids[worker] =
            run_in_child([&] { storm_worker(table->rows[worker], owners[worker], random()); });
    };
    for (std::size_t worker = 0; worker < storm_workers; ++worker) start(worker);
    for (int kill = 0; kill < kills; ++kill) {
        ::usleep(random() % 3'000);
        const std::size_t victim = random() % storm_workers;
        ::kill(pids[victim], SIGKILL);
        REQUIRE(wait_for(pids[victim]) == -SIGKILL);  // 1: it had found a block overwritten
        start(victim);
    }
    // The survivors go on …
    for (std::size_t worker = 0; worker < storm_workers; ++worker) {
        const std::uint64_t rounds = table->rows[worker].rounds.load();
        REQUIRE(support::eventually([&] { return table->rows[worker].rounds.load() > rounds; }));
    }
    for (std::size_t worker = 0; worker < storm_workers; ++worker) {
        ::kill(pids[worker], SIGKILL);
        REQUIRE(wait_for(pids[worker]) == -SIGKILL);
    }
    // … and every block they hold is intact.
    for (std::size_t worker = 0; worker < storm_workers; ++worker) {
        for (const auto& place : table->rows[worker].blocks) {
            if (const Offset block = place.load()) REQUIRE(block_is_intact(block, owners[worker]));
        }
    }
}
