// EXPECT: multiprocessing: an item of a ShareableList can be read as an integer
#include <multiprocessing/shared_memory.hpp>

const char* first(const multiprocessing::shared_memory::ShareableList& list) {
    return list.get<const char*>(0);
}
