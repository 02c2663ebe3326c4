// A pool's report: its figures are those of stats(), and a browser shows it without an error.
// SPDX-License-Identifier: MIT
#include "tests/pool/support.hpp"

#include <multiprocessing/futures.hpp>
#include <multiprocessing/pool/insight/report_text.hpp>
#include <multiprocessing/sharedctypes.hpp>

#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

namespace {

/// A folder of its own, until the end of its scope.
class Folder {
  public:
    Folder() { REQUIRE(::mkdtemp(path_.data()) != nullptr); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_ = "/tmp/multiprocessing_report_XXXXXX";
};

std::string text_of_file(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// Returns the first number of a name in a part of a page, as it is given for programs.
double number_in(const std::string& page, const std::string& part, const std::string& name) {
    CAPTURE(part, name);
    const std::size_t begin = page.find("id=\"" + part + "\"");
    REQUIRE(begin != std::string::npos);
    const std::string mark = "<data class=\"" + name + "\" value=\"";
    const std::size_t at = page.find(mark, begin);
    REQUIRE(at != std::string::npos);
    return std::strtod(page.c_str() + at + mark.size(), nullptr);
}

template <class T>
T sum(const mp::PoolStats& stats, T mp::WorkerStats::*figure) {
    T total{};
    for (const mp::WorkerStats& worker : stats.workers) total += worker.*figure;
    return total;
}

void check_worker(const std::string& page, const std::string& row, const mp::WorkerStats& worker) {
    REQUIRE(number_in(page, row, "pid") == worker.pid);
    REQUIRE(number_in(page, row, "starts") == worker.starts);
    REQUIRE(number_in(page, row, "tasks") == static_cast<double>(worker.tasks));
    REQUIRE(number_in(page, row, "failed") == static_cast<double>(worker.failed));
    REQUIRE(number_in(page, row, "busy") == worker.busy);
    REQUIRE(number_in(page, row, "idle") == worker.idle);
    REQUIRE(number_in(page, row, "startup") == worker.startup);
    // The kernel may take a page of a worker at rest, or count one late.
    const double change = number_in(page, row, "memory") - static_cast<double>(worker.memory);
    REQUIRE(std::abs(change) < 1 << 20);
}

/// Checks a page against what the pool told of itself just after it was written, at rest.
void check_numbers(const std::string& page, const mp::PoolStats& stats) {
    for (std::size_t i = 0; i < stats.workers.size(); ++i) {
        check_worker(page, "worker-" + std::to_string(i + 1), stats.workers[i]);
    }
    REQUIRE(number_in(page, "totals", "tasks") ==
            static_cast<double>(sum(stats, &mp::WorkerStats::tasks)));
    REQUIRE(number_in(page, "totals", "failed") ==
            static_cast<double>(sum(stats, &mp::WorkerStats::failed)));
    REQUIRE(number_in(page, "totals", "busy") == sum(stats, &mp::WorkerStats::busy));
    REQUIRE(number_in(page, "totals", "lost") == static_cast<double>(stats.lost));
    REQUIRE(number_in(page, "totals", "retries") == static_cast<double>(stats.retries));
    for (std::size_t i = 0; i < stats.slowest.size(); ++i) {
        const std::string row = "slowest-" + std::to_string(i + 1);
        REQUIRE(number_in(page, row, "time") == stats.slowest[i].seconds);
        REQUIRE(number_in(page, row, "first") == static_cast<double>(stats.slowest[i].first));
        REQUIRE(number_in(page, row, "call") == static_cast<double>(stats.slowest[i].call));
    }
    for (const mp::WorkerLoss& loss : stats.losses) {
        REQUIRE(number_in(page, "losses", "when") == stats.losses[0].when);
        REQUIRE(contains(page, mp::detail::html_text(loss.what)));
    }
}

/// What a browser makes of a page.
struct Shown {
    std::string page;    // as it is after its scripts have run
    std::string errors;  // of its scripts, and of what it was not allowed to do
};

std::optional<std::string> browser() {
    if (support::sanitized) return std::nullopt;  // the pages are the same
    for (const char* const name : {"chromium", "chromium-browser", "google-chrome"}) {
        for (const char* const folder : {"/usr/bin/", "/usr/local/bin/", "/opt/google/chrome/"}) {
            const std::string path = std::string(folder) + name;
            if (::access(path.c_str(), X_OK) == 0) return path;
        }
    }
    WARN("no chromium here: the report is not looked at in a browser");
    return std::nullopt;
}

Shown show(const std::string& program, const Folder& folder, const std::string& file) {
    const std::string command =
        "HOME=" + folder.file("home") + " timeout -k 5 200 " + program +
        " --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run" +
        " --user-data-dir=" + folder.file("profile") +
        " --enable-logging=stderr --dump-dom file://" + folder.file(file) + " >" +
        folder.file("shown") + " 2>" + folder.file("log") + " </dev/null";
    REQUIRE(std::system(command.c_str()) == 0);
    Shown shown{text_of_file(folder.file("shown")), {}};
    std::ifstream log(folder.file("log"));
    for (std::string line; std::getline(log, line);) {
        if (contains(line, "CONSOLE")) shown.errors += line + "\n";
    }
    return shown;
}

/// Sleeps, fails, or dies at its first try, depending on the item.
struct Work {
    mp::Value<int> deaths;

    int operator()(int item) const {
        if (item == 13 && deaths.value == 0) {
            deaths.value = 1;
            ::raise(SIGKILL);
        }
        if (item == 7) ::usleep(30'000);
        if (item % 10 == 4) throw std::runtime_error("four");
        return item;
    }
};

/// Returns whether all that the pool had to do is written down, and every worker is ready: one that
/// starts late may find nothing left to do.
template <class Pool>
bool is_at_rest(const Pool& pool, std::uint64_t tasks) {
    const mp::PoolStats stats = pool.stats();
    const auto is_ready = [&](const mp::WorkerStats& worker) {
        return worker.startup > 0 && worker.pid != 0 &&
               std::ranges::none_of(stats.losses,
                                    [&](const auto& loss) { return loss.pid == worker.pid; });
    };
    // A new worker may be ready before the pool counts it.
    const auto starts = static_cast<std::size_t>(sum(stats, &mp::WorkerStats::starts));
    const bool is_counted =
        stats.losses.empty() || starts == stats.workers.size() + stats.losses.size();
    return is_counted && sum(stats, &mp::WorkerStats::tasks) == tasks &&
           std::ranges::all_of(stats.workers, is_ready);
}

/// Lets a pool of processes do and suffer everything that a report tells of.
template <class Pool>
void work(Pool& pool) {
    const Work task{mp::Value<int>(0)};
    REQUIRE_THROWS_AS(pool.map(task, numbers(40), 1), std::runtime_error);
    REQUIRE(support::eventually([&] { return is_at_rest(pool, 40); }));
}

/// Writes the report. @returns it, and what the pool told at the same time
template <class Pool>
std::pair<std::string, mp::PoolStats> report_of(Pool& pool, const Folder& folder) {
    pool.report(folder.file("run.html"));
    return {text_of_file(folder.file("run.html")), pool.stats()};
}

}  // namespace

TEST_CASE("Texts of the program are no markup in a report", "[pool][report]") {
    using mp::detail::html_text;
    using mp::detail::json_text;
    REQUIRE(html_text("<b>&\"x\"'") == "&lt;b&gt;&amp;&quot;x&quot;&#39;");
    REQUIRE(json_text("a\"\\\n</script>&") == R"("a\u0022\u005c\u000a\u003c/script\u003e\u0026")");
    REQUIRE(json_text("µ") == "\"µ\"");
}

TEST_CASE("Numbers are easy to read in a report", "[pool][report]") {
    using namespace mp::detail;
    REQUIRE(count_text(999) == "999");
    REQUIRE(count_text(1'234'567) == "1,234,567");
    REQUIRE(seconds_text(0) == "0.00 µs");
    REQUIRE(seconds_text(0.0000125) == "12.5 µs");
    REQUIRE(seconds_text(0.25) == "250 ms");
    REQUIRE(seconds_text(7200) == "7200 s");
    REQUIRE(memory_text(0) == "–");
    REQUIRE(memory_text(512) == "0.50 KiB");
    REQUIRE(memory_text(3 << 20) == "3.00 MiB");
}

TEMPLATE_TEST_CASE("stats tells what failed, who was lost, and how much memory there is",
                   "[pool][report]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool({.processes = 2, .retries = 1});
    work(pool);
    const mp::PoolStats stats = pool.stats();
    REQUIRE(sum(stats, &mp::WorkerStats::failed) == 4);
    REQUIRE((stats.lost == 1 && stats.retries == 1 && stats.losses.size() == 1));
    const mp::WorkerLoss& loss = stats.losses[0];
    REQUIRE((loss.exitcode == -SIGKILL && loss.is_tried_again && loss.worker < 2));
    REQUIRE(contains(loss.what, "(SIGKILL) while it ran item 13 of call 1, "));
    REQUIRE((loss.when > 0 && loss.when < stats.seconds));
    REQUIRE(contains(stats.slowest[0].function, "Work"));
    REQUIRE(!stats.slowest[0].is_stream);
    for (const mp::WorkerStats& worker : stats.workers) REQUIRE(worker.memory > 0);
    pool.close();
    pool.join();
    for (const mp::WorkerStats& worker : pool.stats().workers) REQUIRE(worker.memory == 0);
}

namespace {

std::vector<char> ballast;
std::size_t take_memory(int mebibytes) {
    ballast.assign(static_cast<std::size_t>(mebibytes) << 20, 'x');
    return ballast.size();
}

}  // namespace

TEMPLATE_TEST_CASE("stats counts a worker's own memory, not what it shares", "[pool][report]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(1);
    const mp::RawArray<char> shared(64 << 20);
    std::ranges::fill(shared, 'x');
    const auto memory = [&] { return pool.stats().workers[0].memory; };
    REQUIRE(support::eventually([&] { return pool.apply(square, 2) == 4 && memory() > 0; }));
    const std::uint64_t before = memory();
    pool.apply(take_memory, 48);
    REQUIRE(memory() >= before + (47 << 20));
    if (support::sanitized) return;  // their shadow of it counts too
    REQUIRE(memory() < before + (60 << 20));
}

TEMPLATE_TEST_CASE("stats numbers the items of a stream from its begin", "[pool][report]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    const Work task{mp::Value<int>(1)};
    pool.apply(square, 1);
    auto stream = pool.imap(task, std::views::iota(0, 14));
    for (int item = 0; item < 14; ++item) {
        if (item != 4) REQUIRE(stream.next() == item);
        if (item == 4) REQUIRE_THROWS_AS(stream.next(), std::runtime_error);
    }
    REQUIRE(support::eventually([&] { return sum(pool.stats(), &mp::WorkerStats::tasks) == 15; }));
    const mp::TaskTime slowest = pool.stats().slowest[0];
    REQUIRE((slowest.first == 7 && slowest.items == 1 && slowest.is_stream));
    REQUIRE(contains(slowest.function, "Work"));
}

TEMPLATE_TEST_CASE("A report has the figures of stats", "[pool][report]", START_METHODS) {
    const Tidy tidy;
    const Folder folder;
    mp::BasicPool<TestType> pool({.processes = 2, .retries = 1});
    work(pool);
    const double before = pool.stats().seconds;
    const auto [page, stats] = report_of(pool, folder);
    check_numbers(page, stats);
    const double seconds = number_in(page, "top", "seconds");
    REQUIRE((seconds >= before && seconds <= stats.seconds));
    // It loads nothing, and may not.
    REQUIRE(contains(page, "content=\"default-src 'none'; "));
    for (const char* const link :
         {"http:", "https:", "//cdn", "src=", "href=", "url(", "@import"}) {
        REQUIRE(!contains(page, link));
    }
}

TEMPLATE_TEST_CASE("A report counts every task whose result is there", "[pool][report]",
                   START_METHODS) {
    const Tidy tidy;
    const Folder folder;
    mp::BasicPool<TestType> pool(2);
    for (int round = 1; round <= 50; ++round) {
        pool.map(square, numbers(20), 1);
        pool.report(folder.file("run.html"));
        REQUIRE(number_in(text_of_file(folder.file("run.html")), "totals", "tasks") == 20 * round);
    }
}

TEMPLATE_TEST_CASE("A report without records says so, and has the figures", "[pool][report]",
                   START_METHODS) {
    const Tidy tidy;
    const Folder folder;
    mp::BasicPool<TestType> pool({.processes = 2, .retries = 1, .traced = 0});
    work(pool);
    const auto [page, stats] = report_of(pool, folder);
    check_numbers(page, stats);
    REQUIRE(contains(page, "<code>traced = 0</code>"));
    REQUIRE(!contains(page, "<canvas"));
    REQUIRE(contains(page, "\"chunks\":[]"));
}

TEST_CASE("A report says from when on its charts are complete", "[pool][report]") {
    const Tidy tidy;
    const Folder folder;
    mp::Pool pool({.processes = 1, .traced = 8});
    pool.map(square, numbers(6), 1);
    REQUIRE(!contains(report_of(pool, folder).first, "id=\"gap\""));
    pool.map(square, numbers(60), 1);
    REQUIRE(contains(report_of(pool, folder).first, "remembers its latest 8 chunks"));
}

TEST_CASE("Pools within the process and executors have reports", "[pool][report]") {
    const Tidy tidy;
    const Folder folder;
    const auto check = [&](auto& pool) {
        REQUIRE(support::eventually([&] { return is_at_rest(pool, 30); }));
        const auto [page, stats] = report_of(pool, folder);
        check_numbers(page, stats);
        REQUIRE(contains(page, "<canvas"));
        REQUIRE(number_in(page, "totals", "failed") == 15);
    };
    mp::ThreadPool threads(2);
    REQUIRE_THROWS_AS(threads.map(fail_at_odd, numbers(30), 1), std::out_of_range);
    check(threads);
    REQUIRE(threads.stats().workers[0].memory == 0);
    mp::BasicPool<mp::start_method::serial> serial(2);
    REQUIRE_THROWS_AS(serial.map(fail_at_odd, numbers(30), 1), std::out_of_range);
    check(serial);
    mp::ProcessPoolExecutor executor(2);
    for (int i = 0; i < 30; ++i) (void)executor.submit(fail_at_odd, i);
    check(executor);
    REQUIRE_THROWS_AS(threads.report("/no such folder/run.html"), std::system_error);
    REQUIRE_THROWS_AS(executor.report("/dev/full"), std::system_error);
}

TEST_CASE("A pool without tasks has a report", "[pool][report]") {
    const Tidy tidy;
    const Folder folder;
    mp::Pool pool(1);
    REQUIRE(contains(report_of(pool, folder).first, "No task is done yet."));
    pool.terminate();
    REQUIRE(contains(report_of(pool, folder).first, "</html>"));
}

TEST_CASE("A forked child can write its parent's report", "[pool][report]") {
    const Tidy tidy;
    const Folder folder;
    mp::Pool pool(1);
    pool.map(square, numbers(10), 1);
    mp::ForkProcess child([&] { pool.report(folder.file("run.html")); });
    child.start();
    child.join();
    REQUIRE(child.exitcode() == 0);
    REQUIRE(contains(text_of_file(folder.file("run.html")), "</html>"));
}

TEMPLATE_TEST_CASE("A report may be written while workers work and are killed", "[pool][report]",
                   START_METHODS) {
    const Tidy tidy;
    const Folder folder;
    int kills = 0;
    mp::BasicPool<TestType> pool({.processes = 2, .retries = 1000, .traced = 16});
    auto result = pool.map_async(worker_pid_slowly, numbers(300), {.chunksize = 1});
    {
        const support::RandomKiller killer(5'000, 30, kills);
        while (!result.ready()) {
            const std::string page = report_of(pool, folder).first;
            REQUIRE(contains(page, "</html>"));
        }
    }
    REQUIRE(result.get().size() == 300);
    const mp::PoolStats stats = pool.stats();
    REQUIRE(stats.lost <= static_cast<std::uint64_t>(kills));
    REQUIRE(stats.retries == stats.lost);
    REQUIRE(stats.losses.size() == (std::min)(stats.lost, std::uint64_t{64}));
}

TEMPLATE_TEST_CASE("A browser shows a report, with its figures and without an error",
                   "[pool][report]", START_METHODS) {
    const Tidy tidy;
    const Folder folder;
    const auto program = browser();
    if (!program) return;
    mp::BasicPool<TestType> pool({.processes = 2, .retries = 1});
    work(pool);
    const auto [page, stats] = report_of(pool, folder);
    const Shown shown = show(*program, folder, "run.html");
    REQUIRE(shown.errors == "");
    check_numbers(shown.page, stats);
    REQUIRE(contains(shown.page, "aria-label=\"40 chunks of 2 workers\""));
    REQUIRE(contains(shown.page, "% busy; 40 chunks recorded."));
}

TEST_CASE("A browser takes no text of the program for markup", "[pool][report]") {
    const Tidy tidy;
    const Folder folder;
    const auto program = browser();
    if (!program) return;
    using namespace mp::detail;
    LocalLogs logs(1, 4);
    record_chunk(logs.view()[0], 4, {monotonic_now(), 1'000'000, 1, 0, 1, 1});
    const std::string markup = "</script><img src=x onerror=\"console.log(1)\"><b id=\"caption\">";
    History history;
    history.note_call(1, function_mark([](int) {}), false);
    history.note_loss({}, std::make_exception_ptr(std::runtime_error(markup)));
    write_report(logs, history, folder.file("run.html"));
    const Shown shown = show(*program, folder, "run.html");
    REQUIRE(shown.errors == "");
    REQUIRE(!contains(shown.page, "<img"));
    REQUIRE(contains(shown.page, "&lt;/script&gt;&lt;img src=x"));
    REQUIRE(contains(shown.page, "1 chunk of 1 worker\""));
}

TEST_CASE("A browser shows a report without records, and tells of errors", "[pool][report]") {
    const Tidy tidy;
    const Folder folder;
    const auto program = browser();
    if (!program) return;
    mp::ThreadPool pool({.processes = 1, .traced = 0});
    pool.map([](int x) { return x; }, numbers(10));
    pool.report(folder.file("run.html"));
    REQUIRE(show(*program, folder, "run.html").errors == "");
    // Were there an error, it would be seen.
    std::ofstream(folder.file("wrong.html"))
        << "<!DOCTYPE html><meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
           "'none'; script-src 'unsafe-inline'\"><img src=\"x.png\"><script>undefined.x</script>";
    const std::string errors = show(*program, folder, "wrong.html").errors;
    REQUIRE(contains(errors, "TypeError"));
    REQUIRE(contains(errors, "Content Security Policy"));
}
