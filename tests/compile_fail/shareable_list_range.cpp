// LINES: 24: the standard library makes the items one by one
// EXPECT: multiprocessing: this type cannot be an item of a ShareableList, which holds integers
#include <multiprocessing/shared_memory.hpp>

#include <utility>
#include <vector>

void make(const std::vector<std::pair<int, int>>& pairs) {
    const multiprocessing::shared_memory::ShareableList list(pairs);
}
