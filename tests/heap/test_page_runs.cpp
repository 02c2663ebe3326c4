// heap/page_runs.hpp: what was freed can be had again, in any order and any size.
// SPDX-License-Identifier: MIT
#include "tests/heap/support.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

/// Allocates blocks of one size until there is no room for another.
std::vector<Offset> fill(Heap& heap, std::size_t size) {
    std::vector<Offset> blocks;
    try {
        for (;;) blocks.push_back(heap.allocator().allocate(size));
    } catch (const std::bad_alloc&) {
        return blocks;
    }
}

bool is_zero(const std::byte* bytes, std::size_t size) {
    return std::all_of(bytes, bytes + size, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

TEST_CASE("Freed neighbours are joined in whatever order they are freed", "[heap]") {
    const auto heap = heap_of(64 * mib);
    support::Random random(3);
    for (const std::size_t size : {100'000u, 9'000u, 2'000'000u, 3'000u, 64u}) {
        std::vector<Offset> blocks = fill(*heap, size);
        REQUIRE(blocks.size() * size > 40 * mib);
        switch (random() % 3) {
            case 0:
                break;
            case 1:
                std::reverse(blocks.begin(), blocks.end());
                break;
            default:
                std::shuffle(blocks.begin(), blocks.end(), std::mt19937(5));
        }
        for (const Offset block : blocks) heap->allocator().deallocate(block);
        const Offset large = heap->allocator().allocate(45 * mib);
        heap->allocator().deallocate(large);
    }
}

TEST_CASE("Small blocks give their memory back, and it serves any other size", "[heap]") {
    const auto heap = heap_of(256 * mib);
    const std::size_t before = heap->segment().memory();
    for (std::size_t size = 64; size <= largest_small_block; size += 300) {
        std::vector<Offset> blocks;
        for (std::size_t all = 0; all < 40 * mib; all += size) {
            blocks.push_back(heap->allocator().allocate(size));
        }
        for (const Offset block : blocks) heap->allocator().deallocate(block);
    }
    // Eight MiB of warm pages, a span for each size, and the records.
    REQUIRE(heap->segment().memory() - before < 14 * mib);
    REQUIRE(heap->allocator().used_space() < 80 * mib);
}

TEST_CASE("A small block that stays keeps one page of its neighbours, no more", "[heap]") {
    const auto heap = heap_of(256 * mib);
    const std::size_t before = heap->segment().memory();
    std::vector<Offset> blocks;
    for (int i = 0; i < 250'000; ++i) blocks.push_back(heap->allocator().allocate(64));
    REQUIRE(heap->segment().memory() - before > 15 * mib);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        if (i % 1'000 != 0) heap->allocator().deallocate(blocks[i]);
    }
    REQUIRE(heap->segment().memory() - before < 3 * mib);
}

TEST_CASE("What was kept for the next one of a size serves another when there is no more",
          "[heap]") {
    const auto heap = heap_of(64 * mib);
    constexpr std::size_t size = 5 * page_size;
    const std::vector<Offset> blocks = fill(*heap, size);
    for (const Offset block : blocks) heap->allocator().deallocate(block);
    heap->allocator().deallocate(heap->allocator().allocate(blocks.size() * size));
}

TEST_CASE("Sizes that grow one after the other use the same space", "[heap]") {
    const auto heap = heap_of(std::size_t{1} << 32);
    for (std::size_t size = 8 * mib; size < 1'500 * mib; size += 13 * mib) {
        heap->allocator().deallocate(heap->allocator().allocate(size));
    }
    REQUIRE(heap->allocator().used_space() < 64 * mib);
}

TEST_CASE("Drifting mixtures of sizes do not use up the address space", "[heap]") {
    const auto heap = heap_of(std::size_t{1} << 30);
    support::Random random(11);
    std::vector<std::pair<Offset, std::size_t>> blocks;
    std::size_t alive = 0;
    for (int phase = 0; phase < 60; ++phase) {
        const std::size_t typical = 10'000 * (1 + std::size_t(phase) * 7);
        for (int i = 0; i < 300; ++i) {
            const std::size_t size = typical / 2 + random() % typical;
            while (alive + size > 300 * mib) {
                const std::size_t victim = random() % blocks.size();
                heap->allocator().deallocate(blocks[victim].first);
                alive -= blocks[victim].second;
                blocks[victim] = blocks.back();
                blocks.pop_back();
            }
            blocks.emplace_back(heap->allocator().allocate(size), size);
            alive += size;
        }
    }
    REQUIRE(heap->allocator().used_space() < 600 * mib);
}

TEST_CASE("Where the kernel does not take pages back, zeros are zeros all the same", "[heap]") {
    const auto heap = heap_of(64 * mib);
    const std::size_t size = 6 * mib;  // too large to stay warm
    const Offset first = heap->allocator().allocate(size);
    std::memset(heap->at(first), 0xFF, size);
    if (::mlock(heap->at(first), 64 << 10) != 0) return;  // locked pages cannot be taken
    heap->allocator().deallocate(first);
    const Offset second = heap->allocator().allocate_zeroed(size);
    REQUIRE(second == first);
    REQUIRE(is_zero(heap->at(second), size));
    // Joined with what is zero, it is not taken for zero.
    heap->allocator().deallocate(second);
    const Offset third = heap->allocator().allocate_zeroed(2 * size);
    REQUIRE(is_zero(heap->at(third), 2 * size));
    ::munlock(heap->at(first), 64 << 10);
}

TEST_CASE("A process killed with a lock of the allocator leaves it to the next one", "[heap]") {
    const support::Watchdog watchdog(60);
    const auto heap = heap_of(64 * mib);
    AllocatorState& state = heap->at<HeapHeader>(0)->allocator;
    std::vector<Offset> blocks = fill(*heap, 200'000);
    for (const Offset block : blocks) heap->allocator().deallocate(block);
    for (int i = 0; i < 20; ++i) (void)heap->allocator().allocate(3'000);
    const auto die_with = [](RobustMutex& mutex) {
        const pid_t child = run_in_child([&] {
            (void)mutex.lock();
            ::raise(SIGKILL);
        });
        REQUIRE(wait_for(child) == -SIGKILL);
    };
    die_with(state.lock);
    die_with(state.cleaning);
    die_with(state.spans_lock);
    blocks = fill(*heap, 1 * mib);
    REQUIRE(blocks.size() >= 45);
    for (const Offset block : blocks) heap->allocator().deallocate(block);
    die_with(state.cleaning);
    heap->allocator().repair();
    std::vector<Offset> small;
    for (int i = 0; i < 1'000; ++i) small.push_back(heap->allocator().allocate(3'000));
    for (const Offset block : small) heap->allocator().deallocate(block);
    REQUIRE(heap->allocator().allocate(40 * mib) != 0);
}

TEST_CASE("Pages whose giver was killed are given back by who comes next", "[heap]") {
    const support::Watchdog watchdog(60);
    const auto heap = heap_of(64 * mib);
    AllocatorState& state = heap->at<HeapHeader>(0)->allocator;
    const std::size_t before = heap->segment().memory();
    const Offset block = heap->allocator().allocate(20 * mib);
    std::memset(heap->at(block), 1, 20 * mib);
    const pid_t child = run_in_child([&] {
        (void)state.cleaning.lock();
        auto* const records = heap->at<PageRecord>(std::size_t{1} << 14);
        records[block / page_size].run = RunWord(RunWord::leaving, 20 * mib / page_size).word();
        ::raise(SIGKILL);
    });
    REQUIRE(wait_for(child) == -SIGKILL);
    heap->allocator().repair();
    REQUIRE(heap->segment().memory() - before < mib);
}
