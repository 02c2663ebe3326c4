// Where what tasks and processes print goes: to files, or beside their results.
// SPDX-License-Identifier: MIT
#include <multiprocessing/dummy.hpp>
#include <multiprocessing/futures.hpp>

#include "tests/pool/support.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

namespace {

/// A folder that is removed at the end of its scope.
class Folder {
  public:
    Folder() {
        char name[] = "/tmp/multiprocessing-output-XXXXXX";
        path_ = ::mkdtemp(name);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { std::filesystem::remove_all(path_); }

    [[nodiscard]] std::string operator/(const std::string& name) const {
        return (path_ / name).string();
    }
    /// Returns the text of each file by its name.
    [[nodiscard]] std::map<std::string, std::string> texts() const {
        std::map<std::string, std::string> texts;
        for (const auto& entry : std::filesystem::directory_iterator(path_)) {
            std::ostringstream text;
            text << std::ifstream(entry.path()).rdbuf();
            texts[entry.path().filename()] = text.str();
        }
        return texts;
    }

  private:
    std::filesystem::path path_;
};

std::size_t lines_of(const std::string& text) {
    return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

int print(int x) {
    std::printf("printf %d\n", x);
    std::cout << "cout " << x << std::endl;
    std::cerr << "cerr " + std::to_string(x) + "\n";  // each << is a write
    return x;
}
void print_and_die(int x) {
    // glibc puts a text into the stream's buffer in two ways.
    if (x % 2 == 0) std::printf("last words %d\n", x);
    if (x % 2 != 0) std::puts(("last words " + std::to_string(x)).c_str());
    std::raise(SIGKILL);
}
int print_and_fail(int x) {
    std::cout << "before " << x;
    if (x % 2 != 0) throw std::out_of_range("odd: " + std::to_string(x));
    std::cout << " after";
    return x * 10;
}
void print_only(const std::string& word) { std::cout << word; }
std::string print_in_many_ways(const std::string& word, int times) {
    for (int i = 0; i < times; ++i) std::cout << word << ' ';
    std::fputs("stdio ", stdout);
    std::cout.flush();
    std::fflush(stdout);
    (void)!::write(STDOUT_FILENO, "write ", 6);
    if (std::system("echo program; echo program >&2") != 0) throw std::runtime_error("no shell");
    return word;
}
int print_much(int bytes) {
    std::cout << std::string(static_cast<std::size_t>(bytes), 'x');
    return bytes;
}
int print_and_exit(int status) {
    std::cout << "leaving\n";
    mp::exit(status);
}
int capture_twice(int x) { return mp::captured(print)(x).result(); }
std::string nested(int x) {
    mp::Pool pool(2);
    return pool.map(mp::captured(print), {x, x})[1].output();
}
int descriptors_of_worker(int) { return static_cast<int>(support::descriptors().size()); }
void print_name() { std::cout << "I am " << mp::current_process().name() << std::endl; }
void be_nobody() {}

}  // namespace

TEMPLATE_TEST_CASE("Workers print to files of their own", "[pool]", START_METHODS) {
    const Tidy tidy;
    const Folder folder;
    mp::BasicPool<TestType> pool({.processes = 3,
                                  .maxtasksperchild = 2,
                                  .stdout_file = folder / "{worker}.out",
                                  .stderr_file = folder / "{worker}-{pid}.err"});
    REQUIRE(pool.map(print, numbers(30), 1) == numbers(30));
    std::size_t out = 0;
    std::size_t err = 0;
    std::size_t files = 0;
    for (const auto& [name, text] : folder.texts()) {
        if (name.ends_with(".out")) {
            REQUIRE((name == "0.out" || name == "1.out" || name == "2.out"));
            out += lines_of(text);
            REQUIRE(text.find("cerr") == std::string::npos);
        } else {
            ++files;
            err += lines_of(text);
            REQUIRE(lines_of(text) <= 2);
        }
    }
    REQUIRE(out == 60);
    REQUIRE(err == 30);
    REQUIRE(files >= 15);  // one for each of the workers that took two tasks
}

TEMPLATE_TEST_CASE("What a killed worker has printed is in its file", "[pool]", START_METHODS) {
    const Tidy tidy;
    const Folder folder;
    // A forked worker gets a stream that the program has used, with a buffer for whole blocks.
    std::puts("printed by the program");
    std::fflush(stdout);
    mp::BasicPool<TestType> pool({.processes = 2, .retries = 1, .stdout_file = folder / "all"});
    for (const int x : {6, 7}) {
        REQUIRE_THROWS_AS(pool.apply(print_and_die, x), mp::WorkerLost);
        std::string words = "last words " + std::to_string(x) + "\n";
        REQUIRE_THAT(folder.texts().at("all"), Catch::Matchers::EndsWith(words + words));
    }
}

TEMPLATE_TEST_CASE("Both streams may share a file, and workers append to what is there", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    const Folder folder;
    std::ofstream(folder / "log") << "before\n";
    {
        mp::BasicPool<TestType> pool(
            {.processes = 4, .stdout_file = folder / "log", .stderr_file = folder / "log"});
        pool.map(print, numbers(100), 1);
        pool.close();
        pool.join();
    }
    const std::string text = folder.texts().at("log");
    REQUIRE(text.starts_with("before\n"));
    REQUIRE(lines_of(text) == 301);
    for (int x = 0; x < 100; ++x) {
        REQUIRE(text.find("\nprintf " + std::to_string(x) + "\n") != std::string::npos);
    }
}

TEMPLATE_TEST_CASE("Files are found from the folder in which the pool was made", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    const Folder folder;
    const auto before = std::filesystem::current_path();
    std::filesystem::current_path(folder / "");
    mp::BasicPool<TestType> pool(
        {.processes = 1, .start = mp::PoolStart::on_demand, .stdout_file = "late-{worker}"});
    std::filesystem::current_path(before);
    pool.apply(print, 1);
    REQUIRE(folder.texts().at("late-0").starts_with("printf 1\n"));
}

TEMPLATE_TEST_CASE("A file that cannot be opened breaks the pool, and is named", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2, .stdout_file = "/no/such/folder/{worker}"});
    REQUIRE_THROWS_AS(pool.map(square, numbers(10)), mp::BrokenProcessPool);
    REQUIRE_THROWS_WITH(pool.apply(square, 1),
                        Catch::Matchers::ContainsSubstring("/no/such/folder/"));
}

TEMPLATE_TEST_CASE("A process prints to files of its own", "[process]", START_METHODS) {
    const Tidy tidy;
    const Folder folder;
    mp::BasicProcess<TestType> process(
        {.name = "a/b", .stdout_file = folder / "{worker}.{pid}", .stderr_file = folder / "err"},
        print_name);
    process.start();
    process.join();
    REQUIRE(process.exitcode() == 0);
    REQUIRE(folder.texts().at("a_b." + std::to_string(*process.pid())) == "I am a/b\n");
    REQUIRE(folder.texts().at("err").empty());
    mp::BasicProcess<TestType> failing({.stdout_file = "/no/such/folder/x"}, print_name);
    failing.start();
    failing.join();
    REQUIRE(failing.exitcode() == 1);
}

TEMPLATE_TEST_CASE("A captured call returns what was printed beside its result", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(3);
    const auto captured = pool.map(mp::captured(print), numbers(50), 1);
    for (int x = 0; x < 50; ++x) {
        const auto& one = captured[static_cast<std::size_t>(x)];
        const std::string n = std::to_string(x);
        REQUIRE(one.result() == x);
        REQUIRE(one.exception() == nullptr);
        REQUIRE(one.output() == "printf " + n + "\ncout " + n + "\n");
        REQUIRE(one.error_output() == "cerr " + n + "\n");
    }
    for (const auto& one : pool.map(mp::captured(print), numbers(60), 7)) {
        REQUIRE(lines_of(one.output()) == 2);
    }
    int next = 0;
    for (const auto& one : pool.imap(mp::captured(print), numbers(20), 3)) {
        REQUIRE(one.result() == next++);
    }
    const auto ways = pool.apply(mp::captured(print_in_many_ways), "word", 2);
    REQUIRE(ways.result() == "word");
    REQUIRE(ways.output() == "word word stdio write program\n");
    REQUIRE(ways.error_output() == "program\n");
    REQUIRE(pool.apply(mp::captured(print_only), "x").output() == "x");
    pool.apply(mp::captured(print_only), "x").result();
    const auto lambda = pool.apply(mp::captured([](int x) { std::cout << x; }), 5);
    REQUIRE(lambda.output() == "5");
    const auto bound = mp::partial(mp::captured(print_in_many_ways), "bound");
    REQUIRE(pool.map(bound, {1})[0].output().starts_with("bound stdio"));
}

TEMPLATE_TEST_CASE("A captured call that throws returns its error and what was printed", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    const auto captured = pool.map(mp::captured(print_and_fail), numbers(9), 2);
    for (int x = 0; x < 9; ++x) {
        const auto& one = captured[static_cast<std::size_t>(x)];
        if (x % 2 == 0) {
            REQUIRE(one.result() == 10 * x);
            REQUIRE(one.output() == "before " + std::to_string(x) + " after");
        } else {
            REQUIRE(one.output() == "before " + std::to_string(x));
            REQUIRE(one.exception() != nullptr);
            REQUIRE_THROWS_AS(one.result(), std::out_of_range);
        }
    }
}

TEMPLATE_TEST_CASE("Captured calls are lost, tried again and time out like others", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    const Folder folder;
    mp::BasicPool<TestType> pool({.processes = 2,
                                  .maxtasksperchild = 3,
                                  .task_timeout = 0.5,
                                  .retries = 1,
                                  .stdout_file = folder / "out"});
    REQUIRE_THROWS_AS(pool.apply(mp::captured(print_and_die), 1), mp::WorkerLost);
    REQUIRE_THROWS_AS(pool.apply(mp::captured(sleep_for_seconds), 600), mp::TimeoutError);
    REQUIRE_THROWS_AS(pool.apply(mp::captured(print_and_exit), 3), mp::WorkerLost);
    REQUIRE(folder.texts().at("out") == "leaving\nleaving\n");  // what mp::exit passes on
    for (const auto& one : pool.map(mp::captured(print), numbers(20), 1)) {
        REQUIRE(lines_of(one.output()) == 2);
    }
    pool.apply(print, 1);  // not captured
    REQUIRE(folder.texts().at("out") == "leaving\nleaving\nprintf 1\ncout 1\n");
}

TEMPLATE_TEST_CASE("A captured call leaves no descriptor, and may print much", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(1);
    const int before = pool.apply(descriptors_of_worker, 0);
    REQUIRE(pool.apply(mp::captured(print_much), 3'000'000).output().size() == 3'000'000);
    for (int i = 0; i < 50; ++i) {
        REQUIRE(pool.apply(mp::captured(print_and_fail), i).output().starts_with("before"));
    }
    REQUIRE(pool.apply(descriptors_of_worker, 0) == before);
    REQUIRE(pool.apply(mp::captured(nested), 3).result() == "printf 3\ncout 3\n");
}

TEMPLATE_TEST_CASE("A kill storm among captured calls mixes no outputs", "[pool][storm]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 4, .retries = 20});
    int kills = 0;
    bool right = true;
    {
        const support::RandomKiller killer(5'000, 50, kills);
        const int count = support::sanitized ? 300 : 3'000;
        const auto captured = pool.map(mp::captured(print), numbers(count), 3);
        for (int x = 0; x < count; ++x) {
            const auto& one = captured[static_cast<std::size_t>(x)];
            const std::string n = std::to_string(x);
            right &= one.result() == x && one.output() == "printf " + n + "\ncout " + n + "\n";
        }
    }
    REQUIRE(right);
    REQUIRE(kills > 0);
}

TEST_CASE("Futures of captured calls, and calls in this process", "[pool]") {
    const Tidy tidy;
    mp::ProcessPoolExecutor executor(2);
    auto future = executor.submit(mp::captured(print), 5);
    REQUIRE(future.result().output() == "printf 5\ncout 5\n");
    auto here = mp::captured(print);
    REQUIRE(here(6).error_output() == "cerr 6\n");
    // Two at a time cannot be told apart.
    REQUIRE_THROWS_AS(mp::captured(capture_twice)(1).result(), mp::RuntimeError);
    mp::BasicPool<mp::start_method::serial> serial(1);
    REQUIRE(serial.map(mp::captured(print), {1, 2})[1].output() == "printf 2\ncout 2\n");
}

TEST_CASE("A closed standard output stays closed after a captured call", "[pool]") {
    const Tidy tidy;
    mp::ForkProcess process([] {
        ::close(STDOUT_FILENO);
        const auto text = mp::captured(print)(1).output();
        const bool closed = ::fcntl(STDOUT_FILENO, F_GETFD) == -1;
        mp::exit(closed && text == "printf 1\ncout 1\n" ? 0 : 1);
    });
    process.start();
    process.join();
    REQUIRE(process.exitcode() == 0);
}

TEST_CASE("Threads and targets that the caller runs have no files of their own",
          "[pool][threads]") {
    const Tidy tidy;
    REQUIRE_THROWS_AS(mp::ThreadPool(mp::PoolOptions{.processes = 1, .stdout_file = "x"}),
                      mp::ValueError);
    REQUIRE_THROWS_AS(mp::ThreadPool(mp::PoolOptions{.processes = 1, .stderr_file = "x"}),
                      mp::ValueError);
    REQUIRE_THROWS_AS(mp::dummy::Process({.stdout_file = "x"}, be_nobody), mp::ValueError);
    mp::BasicProcess<mp::start_method::serial> serial({.stderr_file = "x"}, be_nobody);
    REQUIRE_THROWS_AS(serial.start(), mp::ValueError);
    REQUIRE_FALSE(std::filesystem::exists("x"));
}
