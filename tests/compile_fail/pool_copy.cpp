// SPDX-License-Identifier: MIT
// EXPECT: deleted
// EXPECT: pass it by reference: mp::Pool&
#include <multiprocessing/pool.hpp>

multiprocessing::Pool copy(const multiprocessing::Pool& pool) { return pool; }
