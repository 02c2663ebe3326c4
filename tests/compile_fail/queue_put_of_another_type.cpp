// SPDX-License-Identifier: MIT
// EXPECT: the item is of another type than the queue's items
#include <multiprocessing/queues.hpp>

void put(const multiprocessing::Queue<int>& queue) { queue.put("text"); }
