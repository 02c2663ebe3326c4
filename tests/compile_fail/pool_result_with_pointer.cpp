// SPDX-License-Identifier: MIT
// EXPECT: this type cannot travel between processes, because a raw pointer
// EXPECT: CannotTravel<Match, const char ?\*>
#include <multiprocessing/pool.hpp>

struct Match {
    int line;
    const char* text;
};
Match find(int line) { return {line, "text"}; }

int main() {
    multiprocessing::Pool pool(1);
    (void)pool.map(find, {1, 2, 3});
}
