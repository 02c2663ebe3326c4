// SPDX-License-Identifier: MIT
// EXPECT: a raw pointer, reference, string_view or span means nothing in another process
#include <multiprocessing/futures.hpp>

int* address_of(int) { return nullptr; }

int main() {
    multiprocessing::ProcessPoolExecutor executor(1);
    (void)executor.submit(address_of, 1);
}
