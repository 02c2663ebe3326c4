// SPDX-License-Identifier: MIT
// EXPECT: multiprocessing: this type cannot travel between processes, because a raw pointer
// EXPECT: CannotTravel<.*Node, .*Node ?\*>
#include <multiprocessing/queues.hpp>

namespace {
struct Node {
    int value;
    Node* next;
};
}  // namespace

void put_it(Node& node) {
    const multiprocessing::Queue<Node> queue;
    queue.put(node);
}
