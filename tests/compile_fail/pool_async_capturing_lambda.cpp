// SPDX-License-Identifier: MIT
// EXPECT: a lambda with captures cannot be called in another process
// EXPECT: bind them with mp::partial
#include <multiprocessing/pool.hpp>

int main() {
    multiprocessing::Pool pool(1);
    const int offset = static_cast<int>(::getpid());
    (void)pool.apply_async([offset](int x) { return x + offset; }, 1);
}
