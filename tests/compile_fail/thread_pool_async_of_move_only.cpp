// SPDX-License-Identifier: MIT
// EXPECT: a call that does not wait keeps its items, and these can only be moved
#include <multiprocessing/pool.hpp>

#include <memory>
#include <vector>

int value_of(const std::unique_ptr<int>& owner) { return *owner; }

int main() {
    multiprocessing::ThreadPool pool(1);
    const std::vector<std::unique_ptr<int>> owners(3);
    (void)pool.map_async(value_of, owners);
}
