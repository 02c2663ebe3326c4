// A program that uses a bit of everything, for tests/faults/inject: each of its system calls is
// made to fail once. It leaves with 0 when all went well, with 3 when it has caught an error, which
// is then on standard error, and with 4 when a result was wrong.
//
//     family METHOD      fork, spawn or forkserver
// SPDX-License-Identifier: MIT

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <multiprocessing.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace mp = multiprocessing;

namespace {

int square(int x) { return x * x; }

void put_squares(mp::Queue<int> queue, mp::DictProxy<std::string, int> dict) {
    for (int i = 0; i < 3; ++i) queue.put(square(i));
    dict["done"] = 1;
}

/// @returns false when a result is wrong
template <class Context>
bool use_everything(Context context) {
    bool good = true;
    mp::Manager manager;
    auto dict = manager.dict<std::string, int>();
    auto queue = context.template Queue<int>();
    auto process = context.Process(put_squares, queue, dict);
    process.start();
    for (int i = 0; i < 3; ++i) good = good && queue.get(true, 5.0) == i * i;
    process.join();
    good = good && dict.get("done") == 1;

    auto [a, b] = mp::Pipe();
    a.send(std::string(100, 'x'));
    good = good && b.template recv<std::string>() == std::string(100, 'x');

    auto pool = context.Pool(2);
    good = good && pool.map(square, std::vector{1, 2, 3}) == std::vector{1, 4, 9};
    return good;
}

bool use_everything_by(std::string_view method) {
    if (method == "fork") return use_everything(mp::get_context<"fork">());
    if (method == "spawn") return use_everything(mp::get_context<"spawn">());
    return use_everything(mp::get_context<"forkserver">());
}

}  // namespace

int main(int argc, char** argv) {
    // A call that the library does not make, and that changes nothing: all before is the loader's.
    ::syscall(SYS_sched_get_priority_max, 0);
    mp::freeze_support();
    try {
        return use_everything_by(argc > 1 ? argv[1] : "fork") ? 0 : 4;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "caught: %s\n", error.what());
        return 3;
    }
}
