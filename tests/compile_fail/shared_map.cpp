// EXPECT: a std::map or std::set keeps its elements in the memory of one process
// EXPECT: Use mp::shared::map
#include <multiprocessing/shared_objects.hpp>

#include <map>

int main() { multiprocessing::Shared<std::map<int, int>> map; }
