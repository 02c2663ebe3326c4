// SharedMemory: names, sizes, errors, who removes what, and Python on the other side.
// SPDX-License-Identifier: MIT
// CTEST: RUN_SERIAL ON
#include <multiprocessing/detail/named_memory.hpp>
#include <multiprocessing/pool.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/shared_memory.hpp>

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <deque>
#include <string>

#include "tests/shared_memory/support.hpp"

namespace {

static_assert(!std::is_copy_constructible_v<SharedMemory>);
static_assert(std::is_nothrow_move_constructible_v<SharedMemory>);
static_assert(!std::is_default_constructible_v<SharedMemory>);
static_assert(mp::picklable<SharedMemory> && mp::picklable<std::vector<SharedMemory>>);

struct Job {
    int number;
    SharedMemory block;
};
static_assert(mp::picklable<Job>);

void put_text(const SharedMemory& block, std::string_view text) {
    std::copy_n(bytes_of(text).data(), text.size(), block.buf().begin());
}
std::string text_in(const SharedMemory& block, std::size_t size) {
    const auto bytes = block.buf().first(size);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void write_by_name(const std::string& name, const std::string& text) {
    SharedMemory block({.name = name});
    put_text(block, text);
    block.close();
}
void write_to(SharedMemory block, const std::string& text) { put_text(block, text); }
void work(mp::Queue<Job> jobs, mp::Queue<int> done) {
    for (Job& job : jobs) {
        put_text(job.block, "job " + std::to_string(job.number));
        done.put(job.number);
    }
}
std::size_t size_of(const SharedMemory& block) { return block.size(); }
SharedMemory made_in_worker(int size) { return SharedMemory({.create = true, .size = size}); }
}  // namespace

TEST_CASE("SharedMemory makes a block of exactly the size, zero, and found by name", "[shm]") {
    NothingLeft nothing_left;
    const std::string name = nothing_left.made(name_of("tsmb"));
    SharedMemory block({.name = name, .create = true, .size = 512});
    REQUIRE(block.name() == name);
    REQUIRE(block.size() == 512);
    REQUIRE(block.buf().size() == 512);
    REQUIRE(std::ranges::all_of(block.buf(), [](std::byte byte) { return byte == std::byte{}; }));
    block.buf()[0] = std::byte{42};

    struct stat status {};
    REQUIRE(::stat(("/dev/shm/" + name).c_str(), &status) == 0);
    REQUIRE((status.st_mode & 0777) == 0600);
    REQUIRE(status.st_size == 512);

    const SharedMemory also({.name = "/" + name});
    REQUIRE(also.name() == name);
    REQUIRE(also.buf()[0] == std::byte{42});
    const SharedMemory same({.name = name, .size = 20 * 512});  // the size is ignored
    REQUIRE(same.size() == 512);
    const SharedMemory second = block.duplicate();
    REQUIRE(second.buf().data() != block.buf().data());
    second.buf()[1] = std::byte{43};
    REQUIRE(also.buf()[1] == std::byte{43});
    block.unlink();
    REQUIRE(block.duplicate().buf()[1] == std::byte{43});  // without the name

    for (const std::int64_t size : {1, 4096, 5000}) {
        const SharedMemory other({.create = true, .size = size});
        other.unlink();
        REQUIRE(other.buf().size() == static_cast<std::size_t>(size));
        other.buf().back() = std::byte{1};
    }
    const std::size_t unsigned_size = 10;
    const SharedMemory other({.create = true, .size = unsigned_size});
    other.unlink();
}

TEST_CASE("SharedMemory makes up names as Python does, and tries another when one is taken",
          "[shm]") {
    NothingLeft nothing_left;
    const SharedMemory block({.create = true, .size = 1});
    nothing_left.made(block.name());
    REQUIRE(block.name().size() == 12);
    REQUIRE(block.name().starts_with("psm_"));
    REQUIRE(block.name().find_first_not_of("0123456789abcdef", 4) == std::string::npos);

    const std::string free_name = nothing_left.made(name_of("psm"));
    std::deque<std::string> names{block.name(), block.name(), free_name};
    std::string name;
    mp::detail::create_named_memory(name, 1, [&] {
        const std::string next = names.front();
        names.pop_front();
        return next;
    });
    REQUIRE(name == free_name);
    REQUIRE(names.empty());
    mp::detail::unlink_named_memory(name);
    block.unlink();
}

TEST_CASE("SharedMemory says what is wrong with a name or a size", "[shm]") {
    NothingLeft nothing_left;
    const std::string name = nothing_left.made(name_of("errors"));
    REQUIRE_THROWS_AS(SharedMemory({.create = true, .size = -2}), mp::ValueError);
    REQUIRE_THROWS_AS(SharedMemory({.create = true, .size = 0}), mp::ValueError);
    REQUIRE_THROWS_AS(SharedMemory({.create = true}), mp::ValueError);
    REQUIRE_THROWS_AS(SharedMemory({.name = name, .create = true}), mp::ValueError);
    REQUIRE_THROWS_AS(SharedMemory({.name = name, .size = -1}), mp::ValueError);
    REQUIRE_THROWS_AS(SharedMemory(mp::shared_memory::SharedMemoryOptions{}), mp::ValueError);
    REQUIRE_THROWS_AS(SharedMemory({.name = "", .create = false}), mp::ValueError);
    for (const std::string& bad : {std::string("/"), std::string("//a"), std::string("a/b"),
                                   std::string("a\0b", 3), std::string("\0", 1)}) {
        CAPTURE(bad);
        REQUIRE_THROWS_AS(SharedMemory({.name = bad}), mp::ValueError);
        REQUIRE_THROWS_AS(SharedMemory({.name = bad, .create = true, .size = 1}), mp::ValueError);
    }
    REQUIRE(error_of([&] { SharedMemory({.name = name}); }) == ENOENT);
    REQUIRE_THROWS_WITH(SharedMemory({.name = name}),
                        Catch::Matchers::ContainsSubstring("shm_open \"" + name + "\""));
    const SharedMemory block({.name = name, .create = true, .size = 512});
    REQUIRE(error_of([&] { SharedMemory({.name = name, .create = true, .size = 8}); }) == EEXIST);
    REQUIRE(block.buf().size() == 512);
    REQUIRE(is_there(name));  // the failure removed nothing
    REQUIRE(error_of([&] { SharedMemory({.name = std::string(300, 'x')}); }) != 0);
    block.unlink();

    const auto empty = mp::detail::make_named_memory(name);
    REQUIRE_THROWS_AS(SharedMemory({.name = name}), mp::ValueError);
    REQUIRE(is_there(name));
    mp::detail::unlink_named_memory(name);
}

TEST_CASE("SharedMemory.unlink removes the name once, and the memory stays for who has it",
          "[shm]") {
    NothingLeft nothing_left;
    const std::string name = nothing_left.made(name_of("unlink"));
    SharedMemory one({.name = name, .create = true, .size = 5000});
    SharedMemory two({.name = name});
    two.unlink();
    two.close();
    REQUIRE_FALSE(is_there(name));
    put_text(one, "still here");
    REQUIRE(text_in(one, 10) == "still here");
    one.close();
    REQUIRE(error_of([&] { one.unlink(); }) == ENOENT);
}

TEST_CASE("SharedMemory.close ends the access, and may be called again", "[shm]") {
    NothingLeft nothing_left;
    const std::size_t mappings = support::mapping_count();
    SharedMemory block({.create = true, .size = 100});
    const std::string name = nothing_left.made(block.name());
    block.close();
    block.close();
    REQUIRE(support::mapping_count() == mappings);
    REQUIRE_THROWS_AS(block.buf(), mp::ValueError);
    REQUIRE(block.name() == name);
    REQUIRE(block.size() == 100);
    REQUIRE_THROWS_AS(block.duplicate().buf(), mp::ValueError);
    { const SharedMemory attached({.name = name}); }
    REQUIRE(is_there(name));  // destructors close only
    block.unlink();

    SharedMemory moved({.create = true, .size = 8});
    moved.unlink();
    put_text(moved, "moved");
    block = std::move(moved);
    REQUIRE(text_in(block, 5) == "moved");
    REQUIRE_THROWS_AS(moved.buf(), mp::ValueError);
    REQUIRE_THROWS_AS(moved.unlink(), mp::ValueError);
    REQUIRE(moved.size() == 0);
    REQUIRE(moved.name().empty());
    moved.close();
    const SharedMemory third(std::move(block));
    REQUIRE(text_in(third, 5) == "moved");
}

TEMPLATE_TEST_CASE("A block goes to other processes by its name", "[shm]", START_METHODS) {
    const Watchdog watchdog(60);
    warm_up<TestType>();
    NothingLeft nothing_left;
    SharedMemory block({.create = true, .size = 512});
    nothing_left.made(block.name());

    Child<TestType> by_name(write_by_name, block.name(), "howdy");
    REQUIRE(by_name.join() == 0);
    REQUIRE(text_in(block, 5) == "howdy");

    Child<TestType> by_value(write_to, block.duplicate(), "HELLO");
    REQUIRE(by_value.join() == 0);
    REQUIRE(text_in(block, 5) == "HELLO");
    // A variable is enough where arguments that cannot be copied are duplicated.
    if constexpr (mp::detail::arguments_fit<decltype(&write_to), SharedMemory&, const char*>) {
        Child<TestType> by_variable(write_to, block, "again");
        REQUIRE(by_variable.join() == 0);
        REQUIRE(text_in(block, 5) == "again");
    }

    const mp::Queue<Job> jobs;
    const mp::Queue<int> done;
    Child<TestType> worker(work, jobs, done);
    jobs.put(Job{7, block.duplicate()});
    REQUIRE(done.get() == 7);
    REQUIRE(text_in(block, 5) == "job 7");
    jobs.shutdown();
    REQUIRE(worker.join() == 0);

    mp::BasicPool<TestType> pool(1);
    REQUIRE(pool.apply(size_of, block.duplicate()) == 512);
    const SharedMemory made = pool.apply(made_in_worker, 20);
    nothing_left.made(made.name());
    REQUIRE(made.buf().size() == 20);
    pool.close();
    pool.join();
    REQUIRE(is_there(block.name()));
    made.unlink();
    block.unlink();
}

TEST_CASE("A block that travels is attached to on arrival, unless its name is gone", "[shm]") {
    mp::detail::heap();
    NothingLeft nothing_left;
    SharedMemory block({.create = true, .size = 512});
    nothing_left.made(block.name());
    put_text(block, "pickle");
    const mp::Queue<SharedMemory> queue;
    queue.put(block);
    queue.put(block);
    const SharedMemory arrived = queue.get();
    REQUIRE(arrived.name() == block.name());
    REQUIRE(arrived.size() == 512);
    REQUIRE(text_in(arrived, 6) == "pickle");
    put_text(block, "newval");
    REQUIRE(text_in(arrived, 6) == "newval");
    put_text(arrived, "oldval");
    REQUIRE(text_in(block, 6) == "oldval");

    block.close();
    queue.put(block);  // the name is all that is needed
    block.unlink();
    REQUIRE(error_of([&] { queue.get(); }) == ENOENT);
    REQUIRE(error_of([&] { queue.get(); }) == ENOENT);
    REQUIRE(queue.empty());
    const SharedMemory elsewhere = std::move(block);
    REQUIRE_THROWS_AS(queue.put(block), mp::ValueError);
    REQUIRE(queue.empty());
}

TEST_CASE("The memory of a block is taken when it is made", "[shm]") {
    const Watchdog watchdog(60);
    NothingLeft nothing_left;
    const std::string name = nothing_left.made(name_of("reserved"));
    const support::SignalRain rain;  // each signal ends an fallocate
    const SharedMemory block({.name = name, .create = true, .size = std::int64_t{64} << 20});
    struct stat status {};
    REQUIRE(::stat(("/dev/shm/" + name).c_str(), &status) == 0);
    REQUIRE(status.st_size == std::int64_t{64} << 20);
    REQUIRE(std::int64_t{status.st_blocks} * 512 >= std::int64_t{64} << 20);
    block.unlink();
}

TEST_CASE("A full /dev/shm is an ENOSPC when the block is made, and leaves no name", "[shm]") {
    NothingLeft nothing_left;
    const std::string name = nothing_left.made(name_of("full"));
    struct statvfs whole {};
    REQUIRE(::statvfs("/dev/shm", &whole) == 0);
    if (whole.f_blocks != 0) {
        const std::size_t more = (whole.f_blocks + 1) * whole.f_frsize;
        const auto make = [&] { SharedMemory({.name = name, .create = true, .size = more}); };
        REQUIRE(error_of(make) == ENOSPC);
        REQUIRE_FALSE(is_there(name));
        REQUIRE(error_of([&] { SharedMemory({.create = true, .size = SIZE_MAX}); }) != 0);
    }
    // Where this process may have a /dev/shm of its own, it gets a small one.
    const int status = in_fork([&] {
        if (::unshare(CLONE_NEWNS) != 0 ||
            ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1m") != 0) {
            return 77;
        }
        const SharedMemory first({.name = "first", .create = true, .size = 600'000});
        const int error =
            error_of([] { SharedMemory({.name = "second", .create = true, .size = 600'000}); });
        if (error != ENOSPC || is_there("second") || !is_there("first")) return 1;
        std::ranges::fill(first.buf(), std::byte{1});
        const SharedMemory third({.create = true, .size = 200'000});
        std::ranges::fill(third.buf(), std::byte{1});
        return 0;
    });
    if (status == 77) WARN("no right to mount a small /dev/shm");
    REQUIRE((status == 0 || status == 77));
}

TEST_CASE("A limit on the size of files is an EFBIG and no signal", "[shm]") {
    NothingLeft nothing_left;
    const std::string name = nothing_left.made(name_of("limit"));
    const int status = in_fork([&] {
        const struct rlimit limit {
            8192, 8192
        };
        ::setrlimit(RLIMIT_FSIZE, &limit);
        const int error =
            error_of([&] { SharedMemory({.name = name, .create = true, .size = 8193}); });
        const SharedMemory small({.create = true, .size = 8192});
        small.unlink();
        return error == EFBIG ? 0 : 1;
    });
    REQUIRE(status == 0);
}

TEST_CASE("C++ and Python open each other's blocks", "[shm][python]") {
    const Watchdog watchdog(60);
    NothingLeft nothing_left;
    const SharedMemory ours({.create = true, .size = 5000});
    nothing_left.made(ours.name());
    put_text(ours, "from C++");
    REQUIRE(python("block = SharedMemory(sys.argv[1])\n"
                   "print(block.name, block.size, bytes(block.buf[:8]), block)\n"
                   "block.buf[:8] = b'PYTHON!!'\n"
                   "block.buf[4999] = 7\n"
                   "block.close()",
                   {ours.name()}) == fmt::format("{} 5000 b'from C++' {}", ours.name(), ours));
    REQUIRE(text_in(ours, 8) == "PYTHON!!");
    REQUIRE(ours.buf()[4999] == std::byte{7});
    ours.unlink();

    const std::string name = nothing_left.made(python("block = SharedMemory(create=True, size=99)\n"
                                                      "block.buf[:9] = b'of Python'\n"
                                                      "print(block.name)\n"
                                                      "block.close()"));
    const SharedMemory theirs({.name = name});
    REQUIRE(theirs.size() == 99);
    REQUIRE(text_in(theirs, 9) == "of Python");
    REQUIRE(error_of([&] { SharedMemory({.name = name, .create = true, .size = 1}); }) == EEXIST);
    theirs.unlink();
    REQUIRE(python("try:\n"
                   "    SharedMemory(sys.argv[1])\n"
                   "except FileNotFoundError:\n"
                   "    print('gone')",
                   {name}) == "gone");
}
