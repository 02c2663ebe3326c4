// The library under macros that other people's headers define: Qt's keywords, curses', the names of
// log levels, functions by names that everybody likes. They are there before the library is
// included, and still there afterwards.
// SPDX-License-Identifier: MIT
#include <sys/types.h>

#include <algorithm>
#include <any>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <complex>
#include <condition_variable>
#include <coroutine>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <queue>
#include <random>
#include <ranges>
#include <set>
#include <span>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <valarray>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <cereal/cereal.hpp>

#define DEBUG 1
#define INFO 2
#define WARNING 3
#define ERROR 4
#define major(device) ((device) >> 8)
#define minor(device) ((device)&255)
#define check(expression) this must not be expanded
#define log(text) this must not be expanded
#define timeout(milliseconds) this must not be expanded
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define signals public
#define slots
#define emit
#define foreach(variable, container) for (variable : container)
#define forever for (;;)

#include <multiprocessing.hpp>

#if DEBUG != 1 || ERROR != 4
#error "the program's macros are gone"
#endif

namespace mp = multiprocessing;

int twice(int x) { return 2 * x; }

int main() {
    mp::freeze_support();
    mp::Pool pool(1);
    mp::Queue<int> queue;
    const std::vector<int> items{1, 2, 3};
    foreach (const int x, items) queue.put(max(x, 0));
    mp::get_logger().set_level(40);
    const bool right =
        pool.map(twice, items) == std::vector<int>{2, 4, 6} && queue.get(true, 5.0) == min(1, 2);
    return right ? 0 : 1;
}
