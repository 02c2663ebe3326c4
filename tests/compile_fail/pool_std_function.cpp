// SPDX-License-Identifier: MIT
// EXPECT: a std::function, std::bind or std::bind_front object cannot be called in another process
// EXPECT: Pass the function itself, or mp::partial
// EXPECT: CannotBeCalledElsewhere<std::function<int ?\(int\)>
#include <multiprocessing/pool.hpp>

#include <functional>

int main() {
    multiprocessing::Pool pool(1);
    const std::function<int(int)> twice = [](int x) { return 2 * x; };
    (void)pool.map(twice, {1, 2, 3});
}
