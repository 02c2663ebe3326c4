// Workers take jobs from a queue for as long as there are some; join waits until all are done.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <iostream>
#include <vector>

namespace mp = multiprocessing;

void work(mp::JoinableQueue<int> jobs, mp::Value<long> sum) {
    while (true) {
        const int job = jobs.get();
        sum.value += job * job;
        jobs.task_done();
    }
}

int main() {
    mp::freeze_support();
    mp::JoinableQueue<int> jobs;
    mp::Value<long> sum(0L);
    std::vector<mp::Process> workers;
    for (int i = 0; i < 3; ++i) {
        // Daemons end with this process, so their loops need no end.
        workers.emplace_back(mp::ProcessOptions{.daemon = true}, work, jobs, sum);
        workers.back().start();
    }
    for (int job = 1; job <= 100; ++job) jobs.put(job);
    jobs.join();
    std::cout << sum.value << '\n';
}
