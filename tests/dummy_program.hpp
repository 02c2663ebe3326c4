// A program for `mp`, included in a namespace for each of what mp can be. No #pragma once.
// SPDX-License-Identifier: MIT

inline int twice(int x) {
    if (x == 3) throw std::invalid_argument("three");
    return 2 * x;
}
inline void work(mp::JoinableQueue<int> tasks, mp::Queue<int> results, mp::Value<int> sum) {
    for (;;) {
        const int task = tasks.get();
        if (task < 0) return;
        sum.value += task;
        results.put(2 * task);
        tasks.task_done();
    }
}
inline void answer(mp::Connection connection) {
    connection.send("hello " + connection.recv<std::string>());
}
inline void end_badly() { mp::exit(3); }

inline std::string program() {
    mp::freeze_support();
    std::string told;
    mp::JoinableQueue<int> tasks;
    mp::Queue<int> results;
    mp::Value<int> sum(0);
    std::vector<mp::Process> workers;
    for (int i = 0; i < 2; ++i) workers.emplace_back(work, tasks, results, sum);
    for (auto& worker : workers) worker.start();
    for (int i = 0; i < 10; ++i) tasks.put(i);
    tasks.join();
    int total = 0;
    for (int i = 0; i < 10; ++i) total += results.get();
    for (int i = 0; i < 2; ++i) tasks.put(-1);
    for (auto& worker : workers) worker.join();
    told += std::to_string(total) + " " + std::to_string(int{sum.value}) + "\n";

    auto [here, there] = mp::Pipe();
    mp::Process answerer({.name = "answerer"}, answer, std::move(there));
    answerer.start();
    here.send(std::string("world"));
    told += here.recv<std::string>() + "\n";
    answerer.join();
    mp::Process leaver(end_badly);
    leaver.start();
    leaver.join();
    told += answerer.name() + std::to_string(*leaver.exitcode()) + "\n";

    mp::Pool pool(2);
    for (const int x : pool.map(twice, std::vector{1, 2, 4})) told += std::to_string(x) + " ";
    try {
        pool.map(twice, std::vector{1, 2, 3});
    } catch (const std::invalid_argument& error) {
        told += std::string(error.what()).substr(0, 5);  // a process's error says which task, too
    }
    for (const int x : pool.imap(twice, std::vector{5, 6})) told += " " + std::to_string(x);

    mp::Manager manager;
    auto dict = manager.dict<std::string, int>();
    mp::Process setter([](mp::DictProxy<std::string, int> d) { d["here"] = 1; }, dict);
    setter.start();
    setter.join();
    return told + std::to_string(int{dict["here"]}) + mp::current_process().name();
}
