// The library under macros that other people's headers define: Qt's keywords, curses', the names of
// log levels, functions by names that everybody likes, what programs tell Boost, and what its
// headers and those of its tests define. They are there before the library is included, and still
// there afterwards.
// SPDX-License-Identifier: MIT

// What a program may tell Boost, before anything includes its headers.
#define BOOST_ALL_NO_LIB
#define BOOST_ALL_DYN_LINK
#define BOOST_DISABLE_ASSERTS
#define BOOST_NO_RTTI
#define BOOST_NO_TYPEID
#define BOOST_ERROR_CODE_HEADER_ONLY
#define BOOST_SYSTEM_NO_DEPRECATED
#define BOOST_BIND_GLOBAL_PLACEHOLDERS
#define BOOST_ALLOW_DEPRECATED_HEADERS

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
#include <boost/container/deque.hpp>
#include <boost/container/flat_map.hpp>
#include <boost/container/list.hpp>
#include <boost/container/map.hpp>
#include <boost/unordered_map.hpp>
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

#define BOOST_CHECK(expression) this must not be expanded
#define BOOST_REQUIRE(expression) this must not be expanded
#define BOOST_TEST(expression) this must not be expanded
#define BOOST_TEST_MODULE "a module"
#define BOOST_AUTO_TEST_CASE(name) this must not be expanded
#define BOOST_FOREACH(variable, container) for (variable : container)
#define BOOST_LOG_TRIVIAL(level) this must not be expanded
#define BOOST_SCOPE_EXIT(capture) this must not be expanded

#include <multiprocessing.hpp>
#include <multiprocessing/shared_objects.hpp>

#if DEBUG != 1 || ERROR != 4 || !defined(BOOST_CHECK) || !defined(BOOST_NO_RTTI)
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
    mp::Shared<mp::shared::vector<int>> shared;
    BOOST_FOREACH (const int x, items) shared->push_back(x);
    mp::get_logger().set_level(40);
    const bool right = pool.map(twice, items) == std::vector<int>{2, 4, 6} &&
                       queue.get(true, 5.0) == min(1, 2) && shared->size() == items.size();
    return right ? 0 : 1;
}
