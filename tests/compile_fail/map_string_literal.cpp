// SPDX-License-Identifier: MIT
// EXPECT: a string literal is no range of items
#include <multiprocessing/pool.hpp>

int code(char c) { return c; }

void run(multiprocessing::Pool& pool) { pool.map(code, "abc"); }
