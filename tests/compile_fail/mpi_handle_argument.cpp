// A handle stands for memory of one machine, so a pool of nodes does not take it.
// SPDX-License-Identifier: MIT
// EXPECT: multiprocessing: this is a handle \(Queue, Lock, Value and the like\), which stands for
// EXPECT: memory of one machine: a pool of nodes cannot take it
#include <multiprocessing/mpi.hpp>
#include <multiprocessing/queues.hpp>

void fill(int, multiprocessing::Queue<int> queue) { queue.put(1); }

int main() {
    multiprocessing::mpi::Pool pool;
    pool.apply(fill, 1, multiprocessing::Queue<int>());
}
