// EXPECT: multiprocessing: this type cannot be an item of a ShareableList, which holds integers
// EXPECT: Point
#include <multiprocessing/shared_memory.hpp>

namespace {
struct Point {
    int x;
    int y;
};
}  // namespace

int main() { multiprocessing::shared_memory::ShareableList list({1, Point{1, 2}}); }
