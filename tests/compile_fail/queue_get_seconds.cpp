// SPDX-License-Identifier: MIT
// EXPECT: write get\(true, seconds\)
#include <multiprocessing/queues.hpp>

int main() {
    multiprocessing::Queue<int> queue;
    return queue.get(0.5);
}
