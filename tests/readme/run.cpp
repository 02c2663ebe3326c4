// Runs the recipes of examples/README.md and the patterns of examples/python/README.md, which
// extract has put into run.hpp, and checks that they do what the pages say.
// SPDX-License-Identifier: MIT
#include "run.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

int mistakes = 0;

// Says which claim does not hold, and goes on.
#define CLAIM(...)                                                                \
    do {                                                                          \
        if (!(__VA_ARGS__)) {                                                     \
            std::printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #__VA_ARGS__); \
            ++mistakes;                                                           \
        }                                                                         \
    } while (false)

bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

std::string text_of_file(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

// --- examples/README.md ---

void limits() {
    // Sanitizers take address space of their own by the terabyte.
#ifndef __SANITIZE_ADDRESS__
    CLAIM(has(with_little_memory(), "too much"));
#endif
}

void cores() {
    std::set<int> all;
    for (const std::vector<int>& cores : cores_of_workers()) {
        CLAIM(cores.size() == 1);
        all.insert(cores.begin(), cores.end());
    }
    CLAIM(!all.empty() && static_cast<int>(all.size()) <= mp::process_cpu_count());
}

void drain() {
    mp::Queue<int> jobs, answers;
    mp::Process service(serve_until_sigterm, jobs, answers);
    service.start();
    for (int job = 0; job < 10; ++job) jobs.put(job);
    std::set<int> seen{answers.get()};  // the handler is there
    service.terminate();
    service.join();
    CLAIM(service.exitcode() == 0);
    while (!answers.empty()) seen.insert(answers.get());
    while (!jobs.empty()) seen.insert(2 * jobs.get());
    CLAIM(seen.size() == 10);  // done, or not taken
}

void order() {
    std::vector<std::size_t> lengths;
    // A busy machine may not have started the first process by then.
    for (double time = 0.2; lengths.empty() && time < 100; time *= 4) lengths = run_for(time);
    CLAIM(std::ranges::all_of(lengths, [](std::size_t length) { return length >= 6; }));
    CLAIM(!lengths.empty());
}

void supervisor() {
    mp::Value<int> starts(0);
    supervise(3, starts);
    CLAIM(starts.value == 3);
}

void subscribers() {
    const std::vector<double> seen = last_prices();
    CLAIM(std::ranges::count(seen, 3.0) == 2);
    CLAIM(seen.back() == 3);
}

void capture() {
    const std::string log = solve_all({4.0, -1.0});
    CLAIM(log.starts_with("solving 4\nfrom a program\n= 2.000000\nsolving -1\nfrom a program\n"));
    CLAIM(has(log, "x is negative"));
}

void progress_file() {
    const std::string path =
        std::filesystem::temp_directory_path() / ("progress." + std::to_string(::getpid()));
    CLAIM(sum_with_progress(path, 1000) == 166'666'500);
    const std::string text = text_of_file(path);
    std::filesystem::remove(path);
    CLAIM(has(text, "triangles: 100%") && has(text, "1000/1000"));
}

void gpus() {
    const std::vector<std::string> used = use_gpus(2);
    CLAIM(
        std::ranges::all_of(used, [](const std::string& gpu) { return gpu == "0" || gpu == "1"; }));
}

void serial() { CLAIM(test_sum_of()); }

// --- examples/python/README.md ---

void classes() {
    const auto [name, length] = length_of("seven!!");
    CLAIM(name.starts_with("Collector-") && length == 7);
    CLAIM(count_to_45() == 45);
}

void arguments() {
    CLAIM(render_in_grey() == "a in grey, 96");
    CLAIM(sum_of_four() == 13);
    CLAIM(price_of_tea() == 3);
}

void messages() { CLAIM(sum_of_messages() == 42); }

void interrupt() {
    mp::Queue<bool> finished;
    mp::Process process(
        [](const mp::Queue<bool>& queue) { mp::Queue<bool>(queue).put(finish_or_clean_up()); },
        finished);
    process.start();
    // Before its handler is there, the signal ends the process.
    std::this_thread::sleep_for(std::chrono::seconds(1));
    process.interrupt();
    process.join();
    CLAIM(process.exitcode() == -2 || !finished.get(true, 60));
}

void exceptions() { CLAIM(what_is_wrong().starts_with("negative (item 1 of call ")); }

void log() {
    const std::vector<std::string> lines = log_through_a_queue();
    CLAIM(lines.size() == 2 && has(lines[0], "is done"));
}

}  // namespace

int main() {
    mp::freeze_support();
    for (void (*part)() :
         {limits, cores, drain, order, supervisor, subscribers, capture, progress_file, gpus,
          serial, classes, arguments, messages, interrupt, exceptions, log}) {
        try {
            part();
        } catch (const std::exception& error) {
            std::printf("not so: %s\n", error.what());
            ++mistakes;
        }
    }
    return mistakes == 0 ? 0 : 1;
}
