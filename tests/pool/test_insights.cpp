// What a pool shows of itself: progress, statistics, traces.
// SPDX-License-Identifier: MIT
#include "tests/pool/support.hpp"

#include <fcntl.h>

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <list>
#include <multiprocessing/pool/board/task_clock.hpp>
#include <sstream>

namespace {

int sleep_for_milliseconds(int milliseconds) {
    ::usleep(static_cast<unsigned>(milliseconds) * 1'000);
    return milliseconds;
}

/// A file whose text can be read.
class TextFile {
  public:
    TextFile() : file_(::open_memstream(&text_, &size_)) {}
    TextFile(const TextFile&) = delete;
    TextFile& operator=(const TextFile&) = delete;
    ~TextFile() {
        std::fclose(file_);
        std::free(text_);
    }
    [[nodiscard]] std::FILE* get() const { return file_; }
    [[nodiscard]] std::string text() const {
        std::fflush(file_);
        return {text_, size_};
    }

  private:
    char* text_ = nullptr;
    std::size_t size_ = 0;
    std::FILE* file_;
};

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// Has this process write a comma in numbers, as Germans do, until the end of its scope: with a
/// locale of the system, or one made here.
class CommaLocale {
  public:
    CommaLocale() {
        for (const char* name : {"de_DE.UTF-8", "fr_FR.UTF-8", "ru_RU.UTF-8"}) {
            if (std::setlocale(LC_NUMERIC, name) != nullptr) return;
        }
        const std::string command =
            "localedef -i de_DE -f UTF-8 " + folder_ + "/de_DE.UTF-8 >/dev/null 2>&1";
        std::filesystem::create_directory(folder_);
        if (std::system(command.c_str()) != 0) return;
        ::setenv("LOCPATH", folder_.c_str(), 1);
        std::setlocale(LC_NUMERIC, "de_DE.UTF-8");
    }
    CommaLocale(const CommaLocale&) = delete;
    CommaLocale& operator=(const CommaLocale&) = delete;
    ~CommaLocale() {
        std::setlocale(LC_NUMERIC, "C");
        ::unsetenv("LOCPATH");
        std::filesystem::remove_all(folder_);
    }
    /// Returns whether there is such a locale.
    [[nodiscard]] static bool works() { return *std::localeconv()->decimal_point == ','; }

  private:
    const std::string folder_ = "/tmp/multiprocessing_locale_" + std::to_string(::getpid());
};

/// Opens a terminal of which this process has both ends. @returns the two descriptors
std::pair<int, int> open_terminal() {
    const int owner = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    REQUIRE(owner >= 0);
    REQUIRE(::grantpt(owner) == 0);
    REQUIRE(::unlockpt(owner) == 0);
    char name[64];
    REQUIRE(::ptsname_r(owner, name, sizeof name) == 0);
    const int end = ::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    REQUIRE(end >= 0);
    return {owner, end};
}

}  // namespace

TEST_CASE("progress shows plain lines where there is no terminal", "[pool][progress]") {
    const Tidy tidy;
    mp::Pool pool(2);
    const TextFile file;
    int sum = 0;
    for (const int x : mp::progress(pool.imap_unordered(square, numbers(10)),
                                    {.total = 10, .desc = "squares", .file = file.get()})) {
        sum += x;
    }
    REQUIRE(sum == 285);
    REQUIRE(contains(file.text(), "squares: 100% 10/10 [00:00<00:00, "));
    REQUIRE(!contains(file.text(), "\r"));
    REQUIRE(file.text().back() == '\n');
}

TEST_CASE("progress takes the total of a range that knows its size", "[pool][progress]") {
    const TextFile file;
    const std::list<int> items{1, 2, 3, 4};
    for (const int x : mp::progress(items, {.file = file.get()})) {
        if (x == 2) break;
    }
    REQUIRE(contains(file.text(), " 25% 1/4 ["));
    const TextFile quiet;
    for (const int x : mp::progress(items, {.disable = true, .file = quiet.get()})) (void)x;
    REQUIRE(quiet.text().empty());
    const TextFile endless;
    for (const int x : mp::progress(std::views::iota(1), {.desc = "n", .file = endless.get()})) {
        if (x == 3) break;
    }
    REQUIRE(contains(endless.text(), "n: 2 [00:00, "));
}

TEST_CASE("progress counts the items that failed", "[pool][progress]") {
    const Tidy tidy;
    mp::Pool pool(2);
    const TextFile file;
    auto walk = mp::progress(pool.imap(fail_at_odd, numbers(10)),
                             {.total = 10, .desc = "odd", .file = file.get()});
    auto it = walk.begin();
    int failed = 0;
    for (int item = 1; item <= 10; ++item) {
        try {
            ++it;
        } catch (const std::out_of_range&) {
            ++failed;
        }
    }
    REQUIRE(it == walk.end());
    REQUIRE(failed == 5);
    REQUIRE(contains(file.text(), "odd: 100% 10/10 [00:00<00:00, "));
    REQUIRE(contains(file.text(), "/s, 5 failed]\n"));
    const TextFile first;
    const auto run = [&] {
        for (const int x : mp::progress(pool.imap(fail_at_odd, {1, 2}), {.file = first.get()})) {
            (void)x;
        }
    };
    REQUIRE_THROWS_AS(run(), std::out_of_range);
    REQUIRE(contains(first.text(), "0 [00:00, 0/s, 1 failed]\n"));
}

TEST_CASE("progress draws a bar on a terminal", "[pool][progress]") {
    const Tidy tidy;
    const auto [owner, end] = open_terminal();
    std::FILE* const file = ::fdopen(end, "w");
    int count = 0;
    for (const int x : mp::progress(numbers(30), {.desc = "bar", .file = file})) {
        ::usleep(5'000);
        count += x;
    }
    std::fclose(file);
    std::string text;
    const auto read_all = [&, from = owner] {
        char part[4096];
        const ssize_t size = ::read(from, part, sizeof part);
        if (size > 0) text.append(part, static_cast<std::size_t>(size));
        return size < 0 && errno == EIO;  // all is read, and the other end is closed
    };
    REQUIRE(support::eventually(read_all));
    ::close(owner);
    CAPTURE(text);
    REQUIRE(contains(text, "\rbar: 100% |####################| 30/30 [00:00<00:00, "));
    REQUIRE(contains(text, " |##"));
    REQUIRE(count == 435);
}

TEMPLATE_TEST_CASE("A pool may show the progress of map", "[pool][progress]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2, .progress = true});
    REQUIRE(pool.map(square, numbers(100)).back() == 99 * 99);
    REQUIRE(pool.map(sleep_for_milliseconds, std::vector(4, 60), 1).size() == 4);
    REQUIRE_THROWS_AS(pool.map(fail_at_odd, numbers(9)), std::out_of_range);
}

/// @param workers of the pool
template <class Pool>
void check_stats(Pool& pool, std::size_t workers) {
    pool.map(square, numbers(1000), 10);
    std::vector milliseconds(20, 1);
    milliseconds[7] = 60;
    milliseconds[11] = 40;
    pool.map(sleep_for_milliseconds, milliseconds, 1);
    pool.apply(square, 1);
    // A worker writes its log after it has handed over the result. One that starts late may find
    // nothing left to do.
    REQUIRE(support::eventually([&] {
        std::uint64_t tasks = 0;
        bool all_started = true;
        for (const mp::WorkerStats& worker : pool.stats().workers) {
            tasks += worker.tasks;
            all_started &= worker.startup > 0;
        }
        return tasks == 1021 && all_started;
    }));
    const mp::PoolStats stats = pool.stats();
    REQUIRE(stats.workers.size() == workers);
    double busy = 0;
    for (const mp::WorkerStats& worker : stats.workers) {
        REQUIRE(worker.pid > 0);
        REQUIRE(worker.starts == 1);
        REQUIRE(worker.startup > 0);
        busy += worker.busy;
    }
    REQUIRE(busy >= 0.118);
    REQUIRE(stats.slowest.size() == 5);
    const mp::TaskTime& slowest = stats.slowest[0];
    REQUIRE((slowest.call == 2 && slowest.first == 7 && slowest.items == 1));
    REQUIRE(slowest.seconds >= 0.06);
    REQUIRE(stats.slowest[1].first == 11);
}

TEMPLATE_TEST_CASE("stats tells what each worker has done, and the slowest tasks", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    check_stats(pool, 2);
}

TEST_CASE("stats of pools within the process", "[pool]") {
    const Tidy tidy;
    mp::ThreadPool threads(2);
    check_stats(threads, 2);
    mp::BasicPool<mp::start_method::serial> serial(2);
    check_stats(serial, 1);  // the caller does it all
}

TEST_CASE("stats may be asked for while threads work", "[pool]") {
    const Tidy tidy;
    mp::ThreadPool pool(2);
    auto result = pool.map_async(square, numbers(20'000), {.chunksize = 1});
    while (!result.ready()) REQUIRE(pool.stats().workers.size() == 2);
    REQUIRE(result.get().size() == 20'000);
}

/// @param pool with one worker, which remembers 8 chunks
template <class Pool>
void check_trace(Pool& pool) {
    const std::string path = "/tmp/multiprocessing_trace_" + std::to_string(::getpid());
    pool.map(square, numbers(100), 5);
    pool.apply(square, 3);
    REQUIRE(support::eventually([&] { return pool.stats().workers[0].tasks == 101; }));
    pool.trace(path);
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    ::unlink(path.c_str());
    const std::string json = text.str();
    REQUIRE(json.starts_with("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{\"ph\":\"M\""));
    REQUIRE(json.ends_with("\n]}\n"));
    REQUIRE(contains(json, "\"name\":\"call 2 [0]\""));
    REQUIRE(contains(json, "\"args\":{\"first\":95,\"items\":5,"));
    std::size_t events = 0;
    for (std::size_t at = 0; (at = json.find("\"ph\":\"X\"", at)) != std::string::npos; ++at) {
        ++events;
    }
    REQUIRE((events >= 7 && events <= 8));
    REQUIRE_THROWS_AS(pool.trace("/no such folder/file"), std::system_error);
}

/// @param pool that remembers nothing
template <class Pool>
void check_empty_trace(Pool& pool) {
    const std::string path = "/tmp/multiprocessing_trace_" + std::to_string(::getpid());
    pool.apply(square, 2);
    pool.trace(path);
    ::unlink(path.c_str());
}

TEMPLATE_TEST_CASE("trace writes the tasks as Chrome's trace events", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 1, .traced = 8});
    check_trace(pool);
    mp::BasicPool<TestType> untraced({.processes = 1, .traced = 0});
    check_empty_trace(untraced);
}

TEST_CASE("trace of pools within the process", "[pool]") {
    const Tidy tidy;
    mp::ThreadPool threads({.processes = 1, .traced = 8});
    check_trace(threads);
    mp::ThreadPool untraced({.processes = 1, .traced = 0});
    check_empty_trace(untraced);
    mp::BasicPool<mp::start_method::serial> serial({.processes = 1, .traced = 8});
    check_trace(serial);
}

TEST_CASE("Numbers have a point, whatever the program's locale", "[pool]") {
    const Tidy tidy;
    const CommaLocale locale;
    if (!locale.works()) {
        WARN("no locale with a comma here");
        return;
    }
    const std::string path = "/tmp/multiprocessing_trace_" + std::to_string(::getpid());
    mp::ThreadPool pool({.processes = 1, .traced = 8});
    pool.map(sleep_for_milliseconds, std::vector<int>{2, 3}, 1);
    REQUIRE(support::eventually([&] { return pool.stats().workers[0].tasks == 2; }));
    pool.trace(path);
    const std::string json = support::contents_of(path);
    ::unlink(path.c_str());
    for (const std::string key : {"\"ts\":", "\"dur\":"}) {
        const std::size_t at = json.find(key);
        REQUIRE(at != std::string::npos);
        const std::size_t end = json.find_first_not_of("0123456789", at + key.size());
        REQUIRE(json.at(end) == '.');
    }

    const TextFile file;
    for (int x : mp::progress(std::vector<int>{1, 2, 3, 4, 5, 6, 7}, {.file = file.get()})) {
        sleep_for_milliseconds(x);
    }
    const std::string text = file.text();
    const std::size_t rate = text.rfind(", ") + 2;
    REQUIRE(text.find_first_not_of("0123456789.", rate) == text.find("/s", rate));

    mp::Pool processes({.processes = 1, .task_timeout = 0.25});
    try {
        (void)processes.apply(sleep_for_milliseconds, 20'000);
        FAIL("it is too slow");
    } catch (const mp::TimeoutError& error) {
        REQUIRE(contains(error.what(), "the task_timeout of 0.25 s"));
    }
}

TEST_CASE("A worker's watch tells waiting from working", "[pool]") {
    constexpr std::uint64_t wait = 20'000'000;  // nanoseconds
    constexpr std::uint64_t work = 10'000'000;
    mp::detail::TaskClock clock;
    std::uint64_t last = clock.latest();
    for (int i = 0; i < 3; ++i) {
        ::usleep(wait / 1'000);
        clock.stop_waiting();
        ::usleep(work / 1'000);
        const auto woken = clock.finish_chunk(mp::detail::ticks());
        REQUIRE(woken.free == last);
        REQUIRE(woken.begin - woken.free >= wait / 10 * 9);  // two clocks never agree quite
        REQUIRE(woken.end - woken.begin >= work / 10 * 9);
        ::usleep(work / 1'000);
        const auto next = clock.finish_chunk(mp::detail::ticks());
        REQUIRE(next.free == woken.end);
        REQUIRE(next.begin == woken.end);  // it has not waited
        REQUIRE(next.end - next.begin >= work);
        last = next.end;
    }
    REQUIRE(clock.latest() == last);
}

TEST_CASE("A worker's watch follows the clock also where chunks are short", "[pool]") {
    constexpr std::uint64_t most_wrong = 1'000'000;  // nanoseconds; the thread may have to wait
    mp::detail::TaskClock clock;
    std::uint64_t last = clock.latest();
    std::uint64_t waited = 0;
    bool in_order = true;
    const std::uint64_t start = mp::detail::monotonic_now();
    for (int i = 0; i < 100'000; ++i) {
        const bool waits = i % 3 == 0;
        if (waits) clock.stop_waiting();
        const auto span = clock.finish_chunk(mp::detail::ticks());
        in_order = in_order && span.free == last && span.begin >= span.free &&
                   span.end >= span.begin && (waits || span.begin == span.free);
        waited += span.begin - span.free;
        last = span.end;
    }
    const std::uint64_t end = mp::detail::monotonic_now();
    REQUIRE(in_order);
    REQUIRE(waited <= last - start);
    REQUIRE(last + most_wrong >= end);
    REQUIRE(last <= end + most_wrong);
}
