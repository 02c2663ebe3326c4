// EXPECT: multiprocessing: this type cannot lie in shared memory: it has a pointer
// EXPECT: NotShareable<.*Member<Node, 2>, Node ?\*
#include <multiprocessing/shared_objects.hpp>

struct Node {
    int value;
    Node* next;
};

int main() { multiprocessing::Shared<Node> node; }
