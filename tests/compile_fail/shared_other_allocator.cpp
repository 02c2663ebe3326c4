// EXPECT: a container without mp::allocator keeps its elements in the memory of one process
#include <multiprocessing/shared_objects.hpp>

int main() { multiprocessing::Shared<boost::container::vector<int>> numbers; }
