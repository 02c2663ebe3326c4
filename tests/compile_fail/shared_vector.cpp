// EXPECT: a std::vector keeps its elements in the memory of one process. Use mp::shared::vector
// EXPECT: NotShareable<.*Member<Row, 1>, std::vector<double
#include <multiprocessing/shared_objects.hpp>

#include <vector>

struct Row {
    std::vector<double> values;
    int number;
};

int main() { multiprocessing::Shared<Row> row; }
