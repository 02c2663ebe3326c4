// SPDX-License-Identifier: MIT
// EXPECT: write put\(item, true, seconds\)
#include <multiprocessing/queues.hpp>

void put(const multiprocessing::Queue<int>& queue) { queue.put(1, 0.1); }
