// SPDX-License-Identifier: MIT
// EXPECT: multiprocessing: this type cannot travel between processes, because a raw pointer
#include <multiprocessing/queues.hpp>

#include <string_view>

std::string_view take_it() { return multiprocessing::Queue<std::string_view>().get(); }
