// SPDX-License-Identifier: MIT
// EXPECT: a queue needs the type of its items: mp::Queue<int> q;
#include <multiprocessing/queues.hpp>

int main() {
    multiprocessing::Queue queue;
    queue.put(1);
}
