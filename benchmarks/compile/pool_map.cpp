// What a user's first program costs to compile.
#include <multiprocessing.hpp>

#include <cstdio>
#include <vector>

namespace mp = multiprocessing;

int square(int x) { return x * x; }

int main() {
    mp::freeze_support();
    mp::Pool pool(4);
    for (const int x : pool.map(square, std::vector{1, 2, 3})) std::printf("%d\n", x);
}
