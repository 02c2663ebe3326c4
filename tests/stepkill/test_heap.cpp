// Who is killed anywhere in an operation of the heap loses at most the block that it was about to
// take or give back; and what a dead process held is given back.
// SPDX-License-Identifier: MIT
// CTEST: LABELS steps
#include <multiprocessing/heap.hpp>
#include <multiprocessing/process.hpp>

#include <cstring>
#include <memory>
#include <set>
#include <vector>

#include "tests/stepkill/stepper.hpp"

using stepkill::board;
using stepkill::expect;
using stepkill::Row;
using stepkill::Trial;

namespace {

using namespace mp::detail;

AllocatorState& allocator_state() { return heap().at<HeapHeader>(0)->allocator; }

// Where the heap has what it hands out, see Heap.
constexpr Offset records_at = 1 << 14;
std::uint64_t first_page() {
    const auto up = [](std::uint64_t bytes) { return (bytes + page_size - 1) / page_size; };
    const auto records_size = Allocator::records_size(heap().segment().size());
    return up(up(records_at + records_size) * page_size + Family::table_size);
}

/// What the runs of pages say of themselves.
struct PageCounts {
    std::uint64_t used = 0;
    std::uint64_t warm = 0;
    std::uint64_t warm_runs = 0;
    std::uint64_t leaving = 0;
    std::uint64_t end = 0;
};
PageCounts count_pages() {
    PageCounts counts;
    PageRuns runs(heap().segment(), allocator_state(), heap().at<PageRecord>(records_at),
                  first_page());
    runs.for_each([&](std::uint32_t first, RunWord run) {
        if (run.kind() == RunWord::used) counts.used += run.pages();
        if (run.kind() == RunWord::warm) counts.warm += run.pages();
        counts.warm_runs += run.kind() == RunWord::warm;
        counts.leaving += run.kind() == RunWord::leaving;
        counts.end = first + run.pages();
    });
    return counts;
}

/// Throws unless blocks can be had that nobody has, and what is derived from the pages' records is
/// as they say.
/// @param live       blocks in use
/// @param most_pages how many pages may be used, the lost ones among them
void check_heap(std::size_t size, const std::set<void*>& live, std::uint64_t most_pages) {
    std::set<void*> blocks = live;
    std::vector<unsigned char*> own;
    for (unsigned char i = 0; i < 60; ++i) {
        auto* const block = static_cast<unsigned char*>(allocate(size));
        expect(blocks.insert(block).second, "a block was handed out twice");
        std::memset(block, i, std::min<std::size_t>(size, 4096));
        own.push_back(block);
        if (size > 1'000'000 && i == 5) break;
    }
    for (std::size_t i = 0; i < own.size(); ++i) {
        expect(own[i][0] == i && own[i][std::min<std::size_t>(size, 4096) - 1] == i,
               "two blocks lie in the same place");
    }
    for (void* const block : own) deallocate(block);
    heap().allocator().repair();
    const PageCounts counts = count_pages();
    const AllocatorState& state = allocator_state();
    expect(counts.end == state.frontier, "the runs do not lead to the frontier");
    expect(counts.warm == state.warm_pages,
           fmt::format("{} pages are kept, and {} are said to be", counts.warm, state.warm_pages));
    std::uint64_t warm_runs = 0;
    for (const std::uint16_t count : state.warm_counts) warm_runs += count;
    expect(counts.warm_runs == warm_runs, "another count of kept runs");
    expect(counts.leaving == 0, "pages on their way back that nobody gives back");
    expect(counts.used <= most_pages, "more pages are lost than a block has");
}

/// The pages that may be lost with one block, or be kept in its place: those of some fresh spans.
std::uint64_t pages_of(std::size_t size) {
    const std::uint64_t pages = (size + page_size - 1) / page_size;
    return size <= largest_small_block ? most_span_pages : 2 * pages;
}

/// A block is allocated.
Trial allocate_one(std::size_t size, bool zeroed = false) {
    auto* const live = static_cast<char*>(allocate(size));
    std::memset(live, 7, 32);
    deallocate(allocate(size));
    const std::uint64_t used = count_pages().used;
    return {.operation = [=] { (void)(zeroed ? allocate_zeroed(size) : allocate(size)); },
            .check =
                [=] {
                    check_heap(size, {live}, used + pages_of(size));
                    expect(live[31] == 7, "a block in use has changed");
                    deallocate(live);
                }};
}

/// A block is freed; `count` others of its size were freed before.
Trial free_one(std::size_t size, int count = 0) {
    auto* const live = static_cast<char*>(allocate(size));
    auto* const block = static_cast<char*>(allocate(size));
    std::vector<void*> others;
    for (int i = 0; i < count; ++i) others.push_back(allocate(size));
    for (void* const other : others) deallocate(other);
    std::memset(live, 7, 32);
    const std::uint64_t used = count_pages().used;
    return {.operation = [=] { deallocate(block); },
            .check =
                [=] {
                    check_heap(size, {live}, used + pages_of(size));
                    expect(live[31] == 7, "a block in use has changed");
                    deallocate(live);
                }};
}

// --- spans that are full, or free ---

/// Blocks of the victim's own, which it takes before the operation.
using Blocks = std::shared_ptr<std::vector<void*>>;

std::uint32_t span_of(const void* block) {
    const std::uint64_t page = heap().offset_of(block) / page_size;
    const RunWord run(heap().at<PageRecord>(records_at)[page].run);
    return static_cast<std::uint32_t>(page) - run.distance();
}
BlockList list_of(std::uint32_t span) {
    return BlockList(heap().at<PageRecord>(records_at)[span].blocks);
}
/// Allocates until no span has a free block of that size.
void fill_all_spans(const Blocks& blocks, std::size_t size) {
    const SmallClass& spans = allocator_state().small[Allocator::small_class(size)];
    do {
        blocks->push_back(allocate(size));
    } while (spans.spare != 0 || spans.waiting != 0 || list_of(spans.current).first() != 0);
}

/// @param waits whether there is another span that has a free block, or new ones are needed
Trial allocate_from_another_span(std::size_t size, bool waits) {
    const auto blocks = std::make_shared<std::vector<void*>>();
    const std::uint64_t used = count_pages().used;
    return {.operation = [=] { (void)allocate(size); },
            .check = [=] { check_heap(size, {}, used + 2 * pages_of(size)); },
            .before =
                [=] {
                    fill_all_spans(blocks, size);
                    if (!waits) return;
                    blocks->clear();
                    fill_all_spans(blocks, size);
                    // The first that are freed are kept aside, and then the others' span waits.
                    for (std::size_t i = 0; i < 4; ++i) deallocate((*blocks)[i]);
                    while (allocator_state().small[Allocator::small_class(size)].spare != 0) {
                        (void)allocate(size);
                    }
                }};
}

/// Gives a block back to a span that blocks are not taken from.
/// @param is_last whether all others of that span are free
Trial free_in_another_span(std::size_t size, bool is_last) {
    const auto blocks = std::make_shared<std::vector<void*>>();
    const std::uint64_t used = count_pages().used;
    return {.operation = [=] { deallocate(blocks->back()); },
            .check = [=] { check_heap(size, {}, used + 2 * pages_of(size)); },
            .before =
                [=] {
                    fill_all_spans(blocks, size);
                    blocks->clear();
                    fill_all_spans(blocks, size);
                    std::vector<void*> others;
                    for (int i = 0; i < 3; ++i) others.push_back(allocate(size));
                    // The first that are freed are kept aside.
                    deallocate(others[0]);
                    deallocate(others[1]);
                    const std::uint32_t span = span_of(blocks->back());
                    for (void* const block : *blocks) {
                        const bool is_other = block != blocks->back() && span_of(block) == span;
                        if (is_last && is_other) deallocate(block);
                    }
                }};
}

// --- after a death in the allocator: who repairs may be killed too ---

/// @param damage what another process has done before it died
Trial allocate_after_a_death(std::size_t size, const std::function<void()>& damage) {
    auto* const live = static_cast<char*>(allocate(size));
    deallocate(allocate(size));
    const std::uint64_t used = count_pages().used;
    const auto dead = stepkill::killed_after(damage);
    return {.operation =
                [=] {
                    deallocate(allocate(size));
                    deallocate(allocate(1'000'000));
                },
            .check =
                [=] {
                    (void)dead;
                    check_heap(size, {live}, used + pages_of(size) + pages_of(1'000'000));
                    deallocate(live);
                }};
}
void die_with_runs() {
    AllocatorState& state = allocator_state();
    (void)state.lock.lock();
    state.warm = {};
    state.warm_pages += 100;
    state.oldest = 0;
}
void die_with_spans() {
    (void)allocator_state().spans_lock.lock();
    allocator_state().small[Allocator::small_class(3'000)].waiting = 0;
}
void die_with_pages() {
    const void* const block = allocate(400'000);
    (void)allocator_state().cleaning.lock();
    std::atomic<std::uint32_t>& run =
        heap().at<PageRecord>(records_at)[heap().offset_of(block) / page_size].run;
    run = RunWord(RunWord::leaving, RunWord(run).pages()).word();
}

// --- counted handles ---

struct Counted : SharedObject {
    Counted() : SharedObject(ObjectKind::plain) {}
    std::uint64_t value = 5;
};
using Handles = std::vector<Handle<Counted>>;

std::uint32_t count_of(const Handle<Counted>& handle) {
    return handle->references.load() & ~SharedObject::in_limbo;
}

/// An operation on a handle. What its victim had counted is dropped with its burial, but for one
/// that was counted and not yet noted.
Trial on_handle(const std::function<void(const Handle<Counted>&)>& operation) {
    // One handle, however often the functions are copied.
    const auto handle = std::make_shared<Handle<Counted>>(make_shared_object<Counted>());
    return {.operation = [=] { operation(*handle); },
            .check =
                [=] {
                    const std::uint32_t count = count_of(*handle);
                    const std::uint32_t most = board().is_collected ? 2 : 9;
                    expect(count >= 1 && count <= most, fmt::format("{} handles", count));
                    expect((*handle)->value == 5, "the object has changed");
                    const auto other = make_shared_object<Counted>();
                    expect(other.get() != handle->get(), "two objects in one place");
                }};
}

/// A process makes its first handle. What that leaves counted, with the victim buried, is added up.
Trial first_handle() {
    const auto handle = std::make_shared<Handle<Counted>>(make_shared_object<Counted>());
    return {.operation = [=] { (void)new Handle<Counted>(*handle); },
            .check =
                [=] {
                    bury(Family::unpack(board().notes[0]));
                    board().sum += static_cast<int>(count_of(*handle)) - 1;
                },
            .before = [] { board().notes[0] = Family::pack(self()); }};
}

/// The last handle on an object is made, or dropped.
Trial last_handle(bool is_dropped) {
    const auto other = std::make_shared<Handle<Counted>>(make_shared_object<Counted>());
    const auto check = [=] { check_heap(sizeof(Counted), {other->get()}, UINT64_MAX); };
    return is_dropped ? stepkill::drop_one(make_shared_object<Counted>, check)
                      : stepkill::make_one(make_shared_object<Counted>, check);
}

/// What a dead process held is given back by one that is killed in it, and then by another one.
Trial bury_one() {
    const auto objects = std::make_shared<const Handles>(
        Handles{make_shared_object<Counted>(), make_shared_object<Counted>()});
    const auto dead = stepkill::killed_after([=] {
        // Never destroyed, as it is killed before.
        (void)new Handles{objects->front(), objects->back(), objects->back()};
        void* const blocks[] = {allocate(64), allocate(200)};
        for (void* const block : blocks) deallocate(block);
        board().notes[0] = Family::pack(self());
    });
    const ProcessId id = Family::unpack(board().notes[0]);
    return {.operation = [=] { bury(id); },
            .check =
                [=] {
                    (void)dead;  // not collected before the end of the trial
                    bury(id);
                    const std::uint32_t count =
                        count_of(objects->front()) + count_of(objects->back());
                    // One may be crossed out and not dropped.
                    expect(2 <= count && count <= 3, fmt::format("{} handles, not 2", count));
                    check_heap(64, {objects->front().get(), objects->back().get()}, UINT64_MAX);
                }};
}

/// An object that the process which drops it cannot destroy, and one that looks for it can.
struct Foreign : SharedObject {
    static inline bool is_able = true;
    static constexpr Destroyer destroyer{[](const SharedObject&) noexcept { return is_able; },
                                         [](SharedObject&) noexcept {
                                             if (is_able) ++board().notes[0];
                                             return is_able;
                                         }};

    Foreign() : SharedObject(ObjectKind::test) {}
    static void drop_many(bool is_able_here) {
        is_able = is_able_here;
        const std::vector<Handle<Foreign>> objects{make_shared_object<Foreign>(),
                                                   make_shared_object<Foreign>(),
                                                   make_shared_object<Foreign>()};
    }
};

/// Objects from abroad are destroyed by one that is killed in it, and the rest by another one; or
/// one is killed while it leaves objects abroad.
Trial end_abroad(bool is_collecting) {
    destroyers[static_cast<std::size_t>(ObjectKind::test)] = &Foreign::destroyer;
    if (is_collecting) Foreign::drop_many(false);
    return {.operation =
                [=] {
                    Foreign::is_able = is_collecting;
                    is_collecting ? collect_limbo() : Foreign::drop_many(false);
                },
            .check =
                [=] {
                    Foreign::is_able = true;
                    if (!is_collecting) bury(Family::unpack(board().notes[1]));
                    collect_limbo();
                    const std::uint64_t destroyed = board().notes[0];
                    expect(destroyed <= 3 && (!is_collecting || destroyed >= 2),
                           fmt::format("{} of 3 objects were destroyed", destroyed));
                    expect(heap().remains().abroad.load() == 0, "one is still abroad");
                    check_heap(sizeof(Foreign), {}, UINT64_MAX);
                },
            .before = [] { board().notes[1] = Family::pack(self()); }};
}

const Row allocations[] = {
    {"allocate 40", [] { return allocate_one(40); }},
    {"allocate 100", [] { return allocate_one(100); }},
    {"allocate 1,500", [] { return allocate_one(1'500); }},
    {"allocate 3,000", [] { return allocate_one(3'000); }},
    {"allocate 20,000", [] { return allocate_one(20'000); }},
    {"allocate 200,000", [] { return allocate_one(200'000); }},
    {"allocate 6,000,000", [] { return allocate_one(6'000'000); }},
    {"allocate_zeroed 100", [] { return allocate_one(100, true); }},
    {"allocate_zeroed 6,000,000", [] { return allocate_one(6'000'000, true); }},
    {"free 40", [] { return free_one(40); }},
    {"free 100", [] { return free_one(100); }},
    {"free 1,500", [] { return free_one(1'500); }},
    {"free 3,000", [] { return free_one(3'000); }},
    {"free 20,000", [] { return free_one(20'000); }},
    {"free 200,000", [] { return free_one(200'000); }},
    {"free 200,000, others are kept", [] { return free_one(200'000, 8); }},
    {"free 3,000,000, others are kept", [] { return free_one(3'000'000, 3); }},
    {"free 6,000,000", [] { return free_one(6'000'000); }},
    {"allocate 64, the span is full", [] { return allocate_from_another_span(64, false); }},
    {"allocate 3,000, the span is full", [] { return allocate_from_another_span(3'000, false); }},
    {"allocate 8,000, the span is full", [] { return allocate_from_another_span(8'000, false); }},
    {"allocate 64, another span waits", [] { return allocate_from_another_span(64, true); }},
    {"allocate 3,000, another span waits", [] { return allocate_from_another_span(3'000, true); }},
    {"free 64, the span is full", [] { return free_in_another_span(64, false); }},
    {"free 3,000, the span is full", [] { return free_in_another_span(3'000, false); }},
    {"free 3,000, the span is free then", [] { return free_in_another_span(3'000, true); }},
    {"free 8,000, the span is free then", [] { return free_in_another_span(8'000, true); }},
};

const Row repairs[] = {
    {"allocate after a death with the runs' lock",
     [] { return allocate_after_a_death(200'000, die_with_runs); }},
    {"allocate after a death with the spans' lock",
     [] { return allocate_after_a_death(3'000, die_with_spans); }},
    {"allocate after a death with pages on their way back",
     [] { return allocate_after_a_death(6'000'000, die_with_pages); }},
};

const Row first_handles[] = {{"handle: the first one", first_handle}};

const Row handles[] = {
    {"handle: copy", [] { return on_handle([](const auto& h) { (void)Handle<Counted>(h); }); }},
    {"handle: three copies", [] { return on_handle([](const auto& h) { (void)Handles(3, h); }); }},
    {"object: made", [] { return last_handle(false); }},
    {"object: dropped", [] { return last_handle(true); }},
    {"burial", bury_one},
    {"object: left abroad", [] { return end_abroad(false); }},
    {"object: collected from abroad", [] { return end_abroad(true); }},
};

}  // namespace

TEST_CASE("Who is killed in an allocation loses one block at most", "[heap][steps]") {
    stepkill::kill_everywhere(allocations);
}
TEST_CASE("Who is killed in the repair of the heap leaves it to the next one", "[heap][steps]") {
    stepkill::kill_everywhere(repairs);
}
TEST_CASE("What a note takes is made before the handle is counted", "[heap][steps]") {
    board().sum = 0;
    stepkill::kill_everywhere(first_handles);
    // Between the count and the note nothing is written that other processes see.
    if (!stepkill::is_exhaustive()) CHECK(board().sum <= 1);
}
TEST_CASE("Who is killed with a handle leaves one count too many at most", "[heap][steps]") {
    stepkill::kill_everywhere(handles);
}
