// EXPECT: this type cannot travel between processes, because a raw pointer
// EXPECT: CannotTravel<Node, Node ?\*>
#include <multiprocessing/connection.hpp>

struct Node {
    int value;
    Node* next;
};

int main() {
    auto [a, b] = multiprocessing::Pipe();
    a.send(Node{1, nullptr});
}
