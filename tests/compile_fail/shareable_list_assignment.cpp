// EXPECT: multiprocessing: this type cannot be an item of a ShareableList, which holds integers
#include <multiprocessing/shared_memory.hpp>

void assign(const multiprocessing::shared_memory::ShareableList& list) {
    list[0] = 'x';  // a number, or text?
}
