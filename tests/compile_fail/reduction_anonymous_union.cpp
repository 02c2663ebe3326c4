// SPDX-License-Identifier: MIT
// EXPECT: with an anonymous union
// EXPECT: CannotTravel<Cell, Cell>
#include <multiprocessing/queues.hpp>

struct Cell {
    int kind;
    union {
        int number;
        float real;
    };
};

int main() {
    multiprocessing::Queue<Cell> queue;
    queue.put(Cell{});
}
