// EXPECT: Use mp::shared::unordered_map
// EXPECT: NotShareable<.*Member<Counts, 2>, std::unordered_map<int, int
#include <multiprocessing/shared_objects.hpp>

#include <unordered_map>

struct Counts {
    int sum;
    std::unordered_map<int, int> by_number;
};

int main() { multiprocessing::Shared<Counts> counts; }
