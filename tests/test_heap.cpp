// heap.hpp: the segment, counted handles, the process table, the mailbox.
// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <atomic>
#include <cstring>
#include <string>
#include <vector>

#include "tests/heap/support.hpp"

TEST_CASE("The reservation shrinks to the limit of the address space", "[heap]") {
    if (support::sanitized) return;  // their own mappings exceed any limit
    const pid_t child = run_in_child([] {
        ::munmap(heap().segment().base(), heap().segment().size());
        const rlimit limit{std::size_t{4} << 30, std::size_t{4} << 30};
        if (::setrlimit(RLIMIT_AS, &limit) != 0) ::_exit(1);
        process_heap.store(nullptr);  // as in a process that has none yet
        std::memset(allocate(1 << 20), 1, 1 << 20);
    });
    REQUIRE(wait_for(child) == 0);
}

TEST_CASE("What goes into a heap's mailbox comes out at its other end", "[heap]") {
    const auto heap = heap_of(1 << 24);
    const SocketPair& mailbox = heap->mailbox();
    REQUIRE(::send(mailbox.first.get(), "ab", 2, 0) == 2);
    REQUIRE(::send(mailbox.first.get(), "c", 1, 0) == 1);
    char text[4] = {};
    REQUIRE(::recv(mailbox.second.get(), text, 4, 0) == 2);
    REQUIRE(std::string(text) == "ab");
    for (const int fd : {mailbox.first.get(), mailbox.second.get()}) {
        REQUIRE((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
}

// --- handles ---

namespace {

struct Counted : SharedObject {
    Counted() : SharedObject(ObjectKind::test) {}
    std::atomic<int>* destroyed = nullptr;
};

struct CountedFixture {
    CountedFixture() {
        is_able = true;
        destroyers[static_cast<std::size_t>(ObjectKind::test)] = &destroyer;
    }
    Handle<Counted> make() {
        Handle<Counted> handle = make_shared_object<Counted>();
        handle->destroyed = &destroyed;
        return handle;
    }
    std::atomic<int> destroyed{0};

    static inline std::atomic<bool> is_able{true};  // as if this process ran the right program
    static constexpr Destroyer destroyer{
        [](const SharedObject&) noexcept { return is_able.load(); },
        [](SharedObject& object) noexcept {
            if (is_able) static_cast<Counted&>(object).destroyed->fetch_add(1);
            return is_able.load();
        }};
};

}  // namespace

TEST_CASE_METHOD(CountedFixture, "An object goes with its last handle", "[heap][handle]") {
    Handle<Counted> first = make();
    {
        const Handle<Counted> copy = first;
        REQUIRE(copy == first);
        REQUIRE(AnyHandle::from_offset(copy.any().offset()) == first.any());
    }
    Handle<Counted> moved = std::move(first);
    REQUIRE(destroyed == 0);
    moved = Handle<Counted>();
    REQUIRE(destroyed == 1);
}

TEST_CASE_METHOD(CountedFixture, "A forked child's copies of handles count for nothing",
                 "[heap][handle]") {
    Handle<Counted> handle = make();
    const pid_t child = run_in_child([&] {
        Handle<Counted> taken = std::move(handle);
        taken = Handle<Counted>();
    });
    REQUIRE(wait_for(child) == 0);
    REQUIRE(handle->references.load() == 1);
}

TEST_CASE_METHOD(CountedFixture, "An object outlives its handles while a forked child may use it",
                 "[heap][handle]") {
    Family& family = heap().family();
    const ProcessId me = self();
    Handle<Counted> before = make();
    const std::uint64_t epoch = family.begin_fork();
    const ProcessId child = family.reserve(me, "child", {epoch, me});
    family.end_fork();
    Handle<Counted> after = make();

    after = Handle<Counted>();
    REQUIRE(destroyed == 1);  // made after the fork: the child cannot have it
    SharedObject* const object = before.any().object();
    before = Handle<Counted>();
    REQUIRE(destroyed == 1);
    REQUIRE(object->references.load() == SharedObject::in_limbo);

    // The child passes a handle on and drops it: still its to use.
    Handle<Counted>(AnyHandle::from_offset(heap().offset_of(object)));
    collect_limbo();
    REQUIRE(destroyed == 1);

    family.release(child);
    collect_limbo();
    REQUIRE(destroyed == 2);
}

TEST_CASE_METHOD(CountedFixture, "An object that a process cannot destroy waits for one that can",
                 "[heap][handle]") {
    is_able = false;
    for (int i = 0; i < 3; ++i) make();
    collect_from_abroad();
    collect_limbo();
    REQUIRE(destroyed == 0);
    is_able = true;
    make();  // whoever destroys an object looks whether others have come
    REQUIRE(destroyed == 1);
    collect_limbo();
    REQUIRE(destroyed == 4);

    is_able = false;
    make();
    destroyers[static_cast<std::size_t>(ObjectKind::test)] = nullptr;  // the kind is not known
    make();
    collect_limbo();
    REQUIRE(heap().remains().abroad.load() != 0);
    destroyers[static_cast<std::size_t>(ObjectKind::test)] = &destroyer;
    is_able = true;
    collect_limbo();
    REQUIRE(destroyed == 6);
    REQUIRE(heap().remains().abroad.load() == 0);
}

// --- the process table ---

TEST_CASE("A process is alive until it ends, and its successor in the table is another",
          "[heap][family]") {
    Family& family = heap().family();
    const pid_t pid = run_in_child([] { ::pause(); });
    const ProcessId id = family.reserve(self(), "child");
    REQUIRE(family.is_alive(id));  // it is starting, and its parent lives
    REQUIRE(family.activate(id, pid));
    REQUIRE(family.is_alive(id));
    ::kill(pid, SIGKILL);
    REQUIRE(support::eventually([&] { return !family.is_alive(id); }));  // a zombie does not run
    REQUIRE(wait_for(pid) == -SIGKILL);
    family.release(id);
    family.release(id);
    const ProcessId next = family.reserve(self(), "next");
    REQUIRE(next.index == id.index);
    REQUIRE(next.generation != id.generation);
    REQUIRE_FALSE(family.is_alive(id));
    family.release(next);
}

TEST_CASE("A place in the table can be used more than 2^30 times", "[heap][family]") {
    for (const std::uint32_t generation : {(1u << 30) - 1, UINT32_MAX}) {
        // As after so many processes that had this place one after the other.
        const auto heap_of_its_own = heap_of(64 << 20);
        Family& fresh = heap_of_its_own->family();
        ProcessId last = fresh.reserve({}, "last");
        fresh[last].state = ProcessRecord::pack(generation, ProcessRecord::starting);
        last.generation = generation;
        fresh.release(last);
        const ProcessId next = fresh.reserve({}, "next");
        REQUIRE(next.index == last.index);
        REQUIRE(next.generation == generation + 1);
        REQUIRE(fresh.activate(next, ::getpid()));
        REQUIRE(fresh.is_alive(next));
        REQUIRE_FALSE(fresh.is_alive(last));
    }
}

TEST_CASE("A recycled pid is not taken for the process that had it", "[heap][family]") {
    Family& family = heap().family();
    const ProcessId id = family.reserve(self(), "old");
    const pid_t pid = run_in_child([] { ::pause(); });
    REQUIRE(family.activate(id, pid));
    // As if the process in the table had had this pid long before the one that has it now.
    family[id].alive_at.store(1);
    REQUIRE_FALSE(family.is_alive(id));
    ::kill(pid, SIGKILL);
    wait_for(pid);
    family.release(id);
}

TEST_CASE("The records of orphans are given back when their parent is gone", "[heap][family]") {
    Family& family = heap().family();
    const pid_t pid = run_in_child([&] {
        const ProcessId orphan = family.reserve(self(), "orphan");
        family.activate(orphan, ::getpid());
    });
    REQUIRE(wait_for(pid) == 0);
    REQUIRE(bury_orphans() >= 1);
    REQUIRE(bury_orphans() == 0);
}

TEST_CASE("A table of 65,535 living processes is full: bad_alloc", "[heap][family]") {
    const auto heap = heap_of(64 << 20);
    Family& family = heap->family();
    std::vector<ProcessId> ids;
    for (std::uint32_t i = 1; i < Family::capacity; ++i) ids.push_back(family.reserve({}, ""));
    REQUIRE_THROWS_AS(family.reserve({}, ""), std::bad_alloc);
    family.release(ids[100]);
    REQUIRE(family.reserve({}, "").index == ids[100].index);
}
