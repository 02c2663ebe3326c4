// What one header costs to compile.
#include <multiprocessing/queues.hpp>

namespace mp = multiprocessing;

int main() {
    const mp::Queue<int> queue;
    queue.put(3);
    return queue.get() - 3;
}
