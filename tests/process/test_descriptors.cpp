// The library's descriptors in programs that treat descriptors as they like, under every start
// method: standard streams that are closed from the start, closefrom(3), limits on open files.
//
// What must hold in a program that is started so is a hidden case; the others run this program
// again for it. SPDX-License-Identifier: MIT
#include "tests/process/support.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <multiprocessing/connection.hpp>
#include <multiprocessing/managers.hpp>
#include <multiprocessing/pool.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

namespace {

/// Runs the hidden cases with this tag in a new process, which calls `prepare` before the exec.
/// @returns how it ended, as waitpid tells
template <class Prepare>
int run_again(const char* tag, Prepare prepare) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        prepare();
        ::execl("/proc/self/exe", "test_descriptors", tag, nullptr);
        ::_exit(99);
    }
    int status = 0;
    REQUIRE(mp::detail::retry_on_eintr([&] { return ::waitpid(pid, &status, 0); }) == pid);
    return status;
}

/// What /proc says that a descriptor is; empty when it is closed.
std::string file_behind(int fd) {
    char path[256];
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t size = ::readlink(link.c_str(), path, sizeof path);
    return {path, size < 0 ? 0 : static_cast<std::size_t>(size)};
}

/// Whether no standard stream is a thing that only the library can have opened.
bool standard_streams_are_not_ours() {
    for (int fd = 0; fd <= 2; ++fd) {
        const std::string file = file_behind(fd);
        for (const char* kind : {"memfd:", "anon_inode:", "/dev/shm/"}) {
            if (file.find(kind) != std::string::npos) return false;
        }
    }
    return true;
}

/// Prints more than any buffer holds, wherever it goes.
void print_much() {
    const std::string line(1000, '#');
    for (int i = 0; i < 300; ++i) {
        for (int fd : {STDOUT_FILENO, STDERR_FILENO}) {
            pollfd entry{fd, POLLOUT, 0};
            if (::poll(&entry, 1, 0) == 1 && (entry.revents & POLLOUT) != 0) {
                (void)!::write(fd, line.data(), line.size());
            }
        }
    }
}

int square(int x) {
    print_much();
    return standard_streams_are_not_ours() ? x * x : -1;
}
void put_numbers(mp::Queue<int> queue, int count) {
    print_much();
    queue.put(standard_streams_are_not_ours() ? count : -1);
    for (int i = 1; i < count; ++i) queue.put(i);
}
void set_one(mp::DictProxy<std::string, int> dict) {
    print_much();
    dict["one"] = standard_streams_are_not_ours() ? 1 : -1;
}

/// What a family is for: processes, a pool, a queue, a dict, a pipe.
template <class Method>
void use_everything() {
    {
        mp::BasicPool<Method> pool(2);
        CHECK(pool.map(square, std::vector{1, 2, 3}) == std::vector{1, 4, 9});
    }
    mp::Queue<int> queue;
    mp::BasicProcess<Method> writer(put_numbers, queue, 50);
    writer.start();
    CHECK(queue.get(true, 20.0) == 50);
    for (int i = 1; i < 50; ++i) CHECK(queue.get(true, 20.0) == i);
    CHECK(writer.join(20));
    mp::Manager manager;
    auto dict = manager.template dict<std::string, int>();
    CHECK(exitcode_of<Method>(set_one, dict) == 0);
    CHECK(dict.get("one") == 1);
    auto [a, b] = mp::Pipe();
    a.send(std::string(100'000, 'x'));
    CHECK(b.template recv<std::string>().size() == 100'000);
}

}  // namespace

// --- closed standard streams ---

TEMPLATE_TEST_CASE("A program without some standard streams", "[.][streams]", START_METHODS) {
    const support::Watchdog watchdog(120);
    use_everything<TestType>();
    CHECK(standard_streams_are_not_ours());
}

TEST_CASE("Nothing of the library lies on a standard stream, whichever are closed", "[process]") {
    const support::Watchdog watchdog(290);
    const std::vector<std::vector<int>> sets{{0}, {1}, {2}, {0, 1, 2}};
    for (const std::vector<int>& closed : sets) {
        const int status = run_again("[streams]", [&] {
            const int null = ::open("/dev/null", O_RDWR);
            ::dup2(null, STDOUT_FILENO);
            for (const int fd : closed) ::close(fd);
            if (null > 2) ::close(null);
        });
        INFO("closed: " << closed.front() << (closed.size() > 1 ? " and others" : ""));
        CHECK(status == 0);
    }
}

// --- closefrom(3) ---

namespace {

/// Files of the program's own, opened after it has closed all descriptors that it knows nothing of.
class OwnFiles {
  public:
    OwnFiles() {
        ::closefrom(3);
        for (int& fd : files_) {
            fd = ::memfd_create("own", 0);
            REQUIRE(::write(fd, "own", 3) == 3);
        }
    }
    OwnFiles(const OwnFiles&) = delete;
    OwnFiles& operator=(const OwnFiles&) = delete;
    // With what the library had to open anew: it stays open, as what it had opened at first.
    ~OwnFiles() { ::closefrom(3); }

    [[nodiscard]] bool are_untouched() const {
        for (const int fd : files_) {
            char content[8];
            if (::pread(fd, content, sizeof content, 0) != 3) return false;
            if (::lseek(fd, 0, SEEK_CUR) != 3) return false;
        }
        return true;
    }

  private:
    int files_[60];
};

/// The errno of the std::system_error that `call` throws, which must say what has happened; 0 when
/// it throws none.
template <class Call>
int errno_of(Call call) {
    try {
        call();
    } catch (const std::system_error& error) {
        CHECK(std::string(error.what()).find("closefrom") != std::string::npos);
        return error.code().value();
    }
    return 0;
}

template <class Method>
void start_one() {
    mp::BasicProcess<Method> process(nothing);
    process.start();
    process.join();
}

/// What needs nothing but the heap and new descriptors.
void use_what_still_works() {
    mp::Queue<int> queue;
    mp::BasicProcess<mp::start_method::fork> writer(put_numbers, queue, 3);
    writer.start();
    CHECK(queue.get(true, 20.0) == 3);
    CHECK(writer.join(20));
    mp::BasicPool<mp::start_method::fork> pool(2);
    CHECK(pool.map(square, std::vector{1, 2, 3}) == std::vector{1, 4, 9});
    auto [a, b] = mp::Pipe();
    a.send(5);
    CHECK(b.recv<int>() == 5);
}

}  // namespace

// Each in a process of its own: the library cannot get back what is closed.

TEST_CASE("closefrom before the first use", "[.][closefrom]") {
    const support::Watchdog watchdog(60);
    const OwnFiles own;
    use_what_still_works();
    CHECK(errno_of(start_one<mp::start_method::spawn>) == EBADF);
    CHECK(own.are_untouched());
}

TEST_CASE("closefrom when all has been used", "[.][closefrom]") {
    const support::Watchdog watchdog(60);
    mp::Queue<int> queue;
    mp::Value<int> value(7);
    auto [a, b] = mp::Pipe();
    auto [reader, writer] = mp::Pipe(false);
    mp::BasicProcess<mp::start_method::fork> sleeper(sleep_long);
    sleeper.start();
    start_one<mp::start_method::spawn>();
    start_one<mp::start_method::forkserver>();
    {
        const OwnFiles own;
        queue.put(1);
        CHECK(queue.get() == 1);
        CHECK(value.value == 7);
        CHECK(errno_of([&, &end = a] { end.send(1); }) == EBADF);
        CHECK(errno_of([&, &end = b] { (void)end.recv<int>(); }) == EBADF);
        CHECK(errno_of([&, &end = writer] { end.send(1); }) == EBADF);
        CHECK(errno_of([&, &end = reader] { (void)end.recv<int>(); }) == EBADF);
        CHECK(errno_of(start_one<mp::start_method::spawn>) == EBADF);
        CHECK(errno_of(start_one<mp::start_method::forkserver>) == EBADF);
        CHECK(sleeper.is_alive());
        sleeper.terminate();
        CHECK(sleeper.join(20));
        CHECK(sleeper.exitcode() == -SIGTERM);
        use_what_still_works();
        CHECK(own.are_untouched());
        auto [c, d] = mp::Pipe();  // not at the numbers of the closed ones
        CHECK(errno_of([&, &end = a] { end.send(1); }) == EBADF);
        a.close();
        b.close();
        c.send(1);
        CHECK(d.recv<int>() == 1);
        CHECK(own.are_untouched());
    }
}

TEST_CASE("closefrom beside a running pool", "[.][closefrom]") {
    const support::Watchdog watchdog(60);
    mp::BasicPool<mp::start_method::fork> pool(2);
    CHECK(pool.map(square, std::vector{1, 2, 3}) == std::vector{1, 4, 9});
    const OwnFiles own;
    // Its workers end with the lifeline, and are replaced. What one was doing is lost, and said so.
    std::optional<std::vector<int>> squares;
    for (int attempt = 0; attempt < 10 && !squares; ++attempt) {
        try {
            squares = pool.map(square, std::vector{1, 2, 3});
        } catch (const mp::WorkerLost&) {
        }
    }
    CHECK(squares == std::vector{1, 4, 9});
    pool.terminate();
    pool.join();
    use_what_still_works();
    CHECK(own.are_untouched());
}

TEST_CASE("A program that calls closefrom keeps its own files", "[process]") {
    const support::Watchdog watchdog(200);
    CHECK(run_again("closefrom before the first use", [] {}) == 0);
    CHECK(run_again("closefrom when all has been used", [] {}) == 0);
    CHECK(run_again("closefrom beside a running pool", [] {}) == 0);
}

// --- limits ---

namespace {

void limit_descriptors(rlim_t most) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = most;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// Whether `call` does what it is to do, or says that there are no descriptors left.
template <class Call>
bool works_or_says_why(Call call) {
    try {
        call();
        return true;
    } catch (const std::system_error& error) {
        UNSCOPED_INFO(error.what());
        return error.code() == std::errc::too_many_files_open;
    } catch (const mp::RuntimeError&) {
        return true;  // the fork server did not start: it has said why
    } catch (const mp::BrokenProcessPool&) {
        return true;  // no worker could be started
    }
}

int negate(int x) { return -x; }

template <class Method>
void use_pool() {
    mp::BasicPool<Method> pool(2);
    CHECK(pool.map(negate, std::vector{1, 2, 3}) == std::vector{-1, -2, -3});
}

}  // namespace

TEMPLATE_TEST_CASE("A program that may open few files", "[.][limit]", START_METHODS) {
    const support::Watchdog watchdog(120);
    CHECK(works_or_says_why(start_one<TestType>));
    CHECK(works_or_says_why(use_pool<TestType>));
    CHECK(works_or_says_why([] {
        auto [a, b] = mp::Pipe();
        a.send(1);
        CHECK(b.recv<int>() == 1);
    }));
    limit_descriptors(1024);
    start_one<TestType>();
    use_pool<TestType>();
}

TEST_CASE("Descriptors may be few", "[process]") {
    const support::Watchdog watchdog(290);
    for (const rlim_t most :
         std::initializer_list<rlim_t>{12, 13, 14, 15, 16, 17, 18, 20, 22, 24, 32, 48, 64}) {
        INFO("at most " << most);
        CHECK(run_again("[limit]", [&] {
                  const int null = ::open("/dev/null", O_RDWR);
                  ::dup2(null, STDERR_FILENO);  // what a fork server says that does not start
                  ::closefrom(3);
                  limit_descriptors(most);
              }) == 0);
    }
}

TEMPLATE_TEST_CASE("Starts near the limit say EMFILE, and work again later", "[process]",
                   START_METHODS) {
    const support::Watchdog watchdog(120);
    start_one<TestType>();
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    for (int left = 0; left < 6; ++left) {
        std::vector<mp::detail::Descriptor> taken;
        limit_descriptors(200);
        for (;;) {
            mp::detail::Descriptor fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
            if (!fd) break;
            taken.push_back(std::move(fd));
        }
        taken.resize(taken.size() - static_cast<std::size_t>(left));
        CHECK(works_or_says_why(start_one<TestType>));
        taken.clear();
        start_one<TestType>();
        ::setrlimit(RLIMIT_NOFILE, &before);
        start_one<TestType>();
    }
}

TEMPLATE_TEST_CASE("A pool whose program runs out of descriptors goes on", "[process]",
                   START_METHODS) {
    const support::Watchdog watchdog(120);
    mp::BasicPool<TestType> pool(2);
    CHECK(pool.map(negate, std::vector{1, 2}) == std::vector{-1, -2});
    std::vector<mp::detail::Descriptor> taken;
    for (;;) {
        mp::detail::Descriptor fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        if (!fd) break;
        taken.push_back(std::move(fd));
    }
    for (int i = 0; i < 3; ++i) {
        CHECK_THROWS_AS(pool.apply([](int) { return std::raise(SIGKILL); }, 1), mp::WorkerLost);
        ::usleep(50'000);
    }
    taken.clear();
    CHECK(pool.map(negate, std::vector{1, 2}) == std::vector{-1, -2});
}
