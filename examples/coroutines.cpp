// Coroutines that wait for calls in other processes: they read as if nothing ran elsewhere.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <exception>
#include <future>
#include <iostream>

namespace mp = multiprocessing;

/// The least that a coroutine needs to be waited for; libraries for coroutines have better ones.
struct Job {
    struct promise_type : std::promise<int> {
        Job get_return_object() { return {get_future()}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_value(int number) { set_value(number); }
        void unhandled_exception() { set_exception(std::current_exception()); }
    };
    std::future<int> result;
};

int square(int x) { return x * x; }
int add(int a, int b) { return a + b; }

Job sum_of_squares(mp::ProcessPoolExecutor& executor, int a, int b) {
    const mp::Future<int> first = executor.submit(square, a);  // both squares at once
    const mp::Future<int> second = executor.submit(square, b);
    co_return co_await executor.submit(add, co_await first, co_await second);
}

int main() {
    mp::freeze_support();
    mp::ProcessPoolExecutor executor(2);
    Job one = sum_of_squares(executor, 3, 4), other = sum_of_squares(executor, 5, 12);
    std::cout << one.result.get() << '\n' << other.result.get() << '\n';
}
