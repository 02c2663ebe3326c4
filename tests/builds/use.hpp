// What every build of this folder does: a bit of each part of the library, under one start method.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstdio>
#include <cstdlib>
#include <multiprocessing.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace mp = multiprocessing;

namespace builds {

inline void expect(bool holds, const char* what) {
    if (holds) return;
    std::printf("This does not hold: %s\n", what);
    std::exit(1);
}

// Elements that do not lie aligned in a message, containers that debug modes replace.
using Item = std::tuple<std::vector<char>, std::vector<double>, std::unordered_map<int, int>>;

inline Item some_item() { return {{'a', 'b', 'c'}, {1.5, 2.5}, {{1, 2}, {3, 4}}}; }

inline void work(mp::Queue<Item> queue, mp::Connection pipe, mp::Value<int> count,
                 mp::DictProxy<std::string, std::vector<int>> dict) {
    queue.put(some_item());
    pipe.send(pipe.recv<std::string>() + " back");
    count.value += 40;
    dict["child"] = {1, 2, 3};
    mp::exit(7);
}

inline int square(int x) {
    if (x < 0) throw std::invalid_argument("negative");
    return x * x;
}

template <class Context>
void use_processes(Context context) {
    mp::Queue<Item> queue;
    mp::Value<int> count(0);
    auto [here, there] = mp::Pipe();
    const auto manager = context.Manager();
    const auto dict = manager.template dict<std::string, std::vector<int>>();

    std::thread adder([count] { count.value += 2; });
    auto process = context.Process(work, queue, there, count, dict);
    process.start();
    here.send(std::string("there and"));
    expect(here.template recv<std::string>() == "there and back", "a text comes back by a pipe");
    expect(queue.get() == some_item(), "an item comes by a queue");
    process.join();
    adder.join();
    expect(process.exitcode() == 7, "a child's exit code is known");
    expect(int(count.value) == 42, "a thread and a process count");
    expect(dict["child"].load() == std::vector{1, 2, 3}, "a dict has what a child put in");
}

template <class Context>
void use_pool(Context context) {
    auto pool = context.Pool(2);
    expect(pool.map(square, std::vector{1, 2, 3}) == std::vector{1, 4, 9}, "a pool maps");
    try {
        pool.apply(square, -1);
        expect(false, "a task's exception arrives");
    } catch (const std::invalid_argument& error) {
        expect(error.what() == std::string("negative"), "an exception arrives as itself");
    }
}

template <class Context>
void use(Context context) {
    use_processes(context);
    use_pool(context);
}

}  // namespace builds
