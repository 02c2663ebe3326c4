// Calls that do not wait: results, callbacks, cancelling.
// SPDX-License-Identifier: MIT
#include "tests/pool/support.hpp"

#include <mutex>
#include <optional>
#include <stdexcept>

namespace {

/// A result without a default constructor.
struct Frozen {
    const int number;
    std::string text;
};
Frozen freeze(int x) { return {x, std::to_string(x)}; }

std::unique_ptr<int> make_owner(int x) { return std::make_unique<int>(x); }
int throw_it(int x) { throw std::domain_error("task " + std::to_string(x)); }

/// A result that its receiver cannot read, when the number is 13.
struct Unreadable {
    int number = 0;
    template <class Archive>
    void save(Archive& archive) const {
        archive(number);
    }
    template <class Archive>
    void load(Archive& archive) {
        archive(number);
        if (number == 13) throw std::length_error("it cannot be read");
    }
};
Unreadable make_unreadable(int x) { return {x}; }
/// One that cannot be written.
struct Unwritable {
    int number = 0;
    template <class Archive>
    void save(Archive& archive) const {
        if (number == 13) throw std::length_error("it cannot be written");
        archive(number);
    }
    template <class Archive>
    void load(Archive& archive) {
        archive(number);
    }
};
Unwritable make_unwritable(int x) { return {x}; }
int number_in(const Unwritable& it) { return it.number; }
int number_of(const Unreadable& it) { return it.number; }

/// What callbacks have said, in order.
class Record {
  public:
    void add(std::string text) {
        const std::lock_guard guard(mutex_);
        lines_.push_back(std::move(text));
    }
    std::vector<std::string> lines() {
        const std::lock_guard guard(mutex_);
        return lines_;
    }

  private:
    std::mutex mutex_;
    std::vector<std::string> lines_;
};

std::string text_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& caught) {
        return caught.what();
    }
}

}  // namespace

TEMPLATE_TEST_CASE("An AsyncResult gives what the call returned", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    const mp::AsyncResult<int> one = pool.apply_async(square, 7);
    const mp::AsyncResult<std::vector<int>> many = pool.map_async(square, numbers(100));
    const auto spread = pool.starmap_async(describe, {{"n", 1}, {"m", 2}}, {.chunksize = 1});
    InHeap<std::atomic<int>> counter;
    const mp::AsyncResult<void> nothing = pool.apply_async(count, counter.offset());
    const mp::AsyncResult<void> nothings = pool.map_async(count, std::vector(9, counter.offset()));
    REQUIRE(one.get() == 49);
    REQUIRE(one.get(5) == 49);  // as often as one likes
    REQUIRE(many.get().back() == 99 * 99);
    REQUIRE(spread.get() == std::vector<std::string>{"n1", "m2"});
    nothing.get();
    nothings.get();
    REQUIRE(*counter == 10);
    REQUIRE((one.ready() && one.successful() && nothings.successful()));
    REQUIRE(pool.map_async(square, {2, 3}).get() == std::vector{4, 9});
}

TEMPLATE_TEST_CASE("Results may lack copies and default constructors", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(1);
    const auto owner = pool.apply_async(make_owner, 5);
    REQUIRE(*owner.get() == 5);
    REQUIRE(*owner.get() == 5);
    REQUIRE(*pool.apply(make_owner, 6) == 6);
    REQUIRE(*pool.map(make_owner, {7, 8})[1] == 8);
    REQUIRE(pool.apply_async(freeze, 3).get().text == "3");
    REQUIRE(pool.map_async(freeze, {1, 2}).get()[1].number == 2);
}

TEMPLATE_TEST_CASE("An AsyncResult waits, but not longer than told", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(1);
    Gate gate;
    const auto result = pool.apply_async(gate.task(), 4);
    REQUIRE(!result.ready());
    REQUIRE_THROWS_AS(result.successful(), mp::ValueError);
    REQUIRE_THROWS_AS(result.get(0.01), mp::TimeoutError);
    result.wait(0);
    REQUIRE(!result.ready());
    gate.open();
    result.wait();
    REQUIRE(result.ready());
    REQUIRE(result.get() == 4);
}

TEMPLATE_TEST_CASE("An AsyncResult throws the task's error, to each who asks", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    const auto result = pool.map_async(fail_at_odd, numbers(9), {.chunksize = 2});
    REQUIRE_THROWS_WITH(result.get(), "odd: 1 (item 1 of call 1)");
    REQUIRE_THROWS_AS(result.get(), std::out_of_range);
    REQUIRE(!result.successful());
    REQUIRE_THROWS_WITH(pool.apply(fail_at_odd, 3), "odd: 3");
}

TEMPLATE_TEST_CASE("A result that cannot be read or written fails its own task", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    REQUIRE_THROWS_AS(pool.apply(make_unreadable, 13), std::length_error);
    REQUIRE_THROWS_WITH(pool.map(make_unreadable, {12, 13}), "it cannot be read");
    REQUIRE_THROWS_WITH(pool.map(make_unwritable, numbers(20), 5),
                        Catch::Matchers::StartsWith("it cannot be written (item 13 of call "));
    REQUIRE_THROWS_WITH(pool.apply(number_of, Unreadable{13}), "it cannot be read");
    REQUIRE_THROWS_WITH(pool.apply(number_in, Unwritable{13}), "it cannot be written");
    REQUIRE(pool.apply(number_of, Unreadable{14}) == 14);
    REQUIRE(pool.apply(make_unwritable, 14).number == 14);
}

TEMPLATE_TEST_CASE("Callbacks run once, before the result is ready", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    Record record;
    const auto on_error = [&](const std::exception_ptr& error) { record.add(text_of(error)); };
    pool.apply_async(
            {.callback = [&](int x) { record.add(std::to_string(x)); }, .error_callback = on_error},
            square, 3)
        .wait();
    REQUIRE(record.lines() == std::vector<std::string>{"9"});
    pool.map_async(
            square, numbers(50),
            {.chunksize = 3,
             .callback =
                 [&](const std::vector<int>& all) { record.add(std::to_string(all.size())); }})
        .wait();
    const auto failed = pool.apply_async(
        {.callback = [&](int) { record.add("never"); }, .error_callback = on_error}, throw_it, 5);
    REQUIRE_THROWS_AS(failed.get(), std::domain_error);
    InHeap<std::atomic<int>> counter;
    pool.apply_async({.callback = [&] { record.add("void"); }}, count, counter.offset()).get();
    REQUIRE(record.lines() == std::vector<std::string>{"9", "50", "task 5", "void"});
}

TEMPLATE_TEST_CASE("Callbacks run in order of arrival, on one thread", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    Record record;
    std::set<std::thread::id> threads;
    const auto note = [&](int x) {
        threads.insert(std::this_thread::get_id());
        record.add(std::to_string(x));
    };
    Gate first;
    Gate hold;
    // The one behind the gate was begun first and ends last.
    const auto slow = pool.apply_async({.callback = note}, first.task(), 1000);
    std::vector<mp::AsyncResult<int>> results;
    for (int i = 0; i < 100; ++i) {
        results.push_back(pool.apply_async({.callback = note}, square, i));
    }
    results.back().wait();
    first.open();
    slow.wait();
    std::vector<std::string> expected;
    for (int i = 0; i < 100; ++i) expected.push_back(std::to_string(i * i));
    expected.emplace_back("1000");
    REQUIRE(record.lines() == expected);
    REQUIRE(threads.size() == 1);
    REQUIRE(threads.count(std::this_thread::get_id()) == 0);
}

TEMPLATE_TEST_CASE("A callback that throws stops nothing, and may use the pool", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    Record record;
    const auto result = pool.apply_async(
        {.callback = [](int) { throw std::runtime_error("a callback's own error"); }}, square, 2);
    REQUIRE(result.get() == 4);
    std::optional<mp::AsyncResult<int>> own;
    const auto again = pool.apply_async(
        {.callback =
             [&](int x) {
                 record.add(std::to_string(pool.apply(square, x)));
                 const auto nested = pool.apply_async(
                     {.callback = [&](int y) { record.add(std::to_string(y)); }}, square, x + 1);
                 record.add(std::to_string(nested.get()));  // does not wait for its callback
             }},
        square, 3);
    again.wait();
    pool.close();
    pool.join();
    REQUIRE(record.lines() == std::vector<std::string>{"81", "100", "100"});
}

TEMPLATE_TEST_CASE("close and join run every callback; terminate gives CancelledError", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    std::atomic<int> called{0};
    std::atomic<int> failed{0};
    const auto on_error = [&](const std::exception_ptr&) { ++failed; };
    {
        mp::BasicPool<TestType> pool(2);
        for (int i = 0; i < 300; ++i) {
            pool.apply_async({.callback = [&](int) { ++called; }}, square, i);
        }
        pool.close();
        pool.join();
        REQUIRE(called == 300);
    }
    std::optional<mp::AsyncResult<int>> kept;
    std::optional<mp::AsyncResult<int>> done;
    {
        mp::BasicPool<TestType> pool(1);
        done = pool.apply_async(square, 8);
        done->wait();
        kept = pool.apply_async({.error_callback = on_error}, sleep_for_seconds, 600);
        const auto pending = pool.map_async(sleep_for_seconds, {600, 600});
        pool.terminate();
        REQUIRE_THROWS_AS(pending.get(), mp::CancelledError);
    }
    REQUIRE_THROWS_AS(kept->get(), mp::CancelledError);  // results may outlive their pool
    REQUIRE(failed == 1);
    REQUIRE(done->get() == 64);
    REQUIRE(kept->cancel(true));  // it is cancelled
}

TEMPLATE_TEST_CASE("A pool may be destroyed by one of its callbacks", "[pool]", START_METHODS) {
    const Tidy tidy;
    // In a process of its own: the pool's thread, which nobody can join, ends some time later.
    mp::ForkProcess process([] {
        auto pool = std::make_shared<mp::BasicPool<TestType>>(1);
        std::atomic<bool> gone{false};
        {
            const auto last = pool;
            last->apply_async({.callback =
                                   [&gone, owner = std::move(pool)](int) mutable {
                                       while (owner.use_count() > 1) ::usleep(100);
                                       owner.reset();
                                       gone = true;
                                   }},
                              square, 1);
        }
        mp::exit(support::eventually([&] { return gone.load(); }) ? 7 : 8);
    });
    process.start();
    process.join();
    REQUIRE(process.exitcode() == 7);
}

TEMPLATE_TEST_CASE("cancel takes back what no worker has begun", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(1);
    Gate gate;
    InHeap<std::atomic<int>> counter;
    const auto running = pool.apply_async(gate.task(), 1);
    gate.wait_for(1);
    const auto waiting = pool.apply_async(count, counter.offset());
    const auto map = pool.map_async(count, std::vector(20, counter.offset()), {.chunksize = 1});
    REQUIRE(waiting.cancel());
    REQUIRE(waiting.cancel());
    REQUIRE(map.cancel());
    REQUIRE_THROWS_AS(waiting.get(), mp::CancelledError);
    REQUIRE_THROWS_AS(map.get(), mp::CancelledError);
    REQUIRE(!running.cancel());
    gate.open();
    REQUIRE(running.get() == 1);
    REQUIRE(pool.apply(square, 3) == 9);
    REQUIRE(*counter == 0);
}

TEMPLATE_TEST_CASE("cancel with kill_running ends the worker, and no other", "[pool]",
                   START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    const auto task = GENERATE(&sleep_for_seconds, &block_and_sleep, &stop_itself);
    Gate gate;
    const auto bystander = pool.apply_async(gate.task(), 5);
    const auto stuck = pool.apply_async(task, 600);
    gate.wait_for(1);
    ::usleep(50'000);
    REQUIRE(stuck.cancel(true));
    REQUIRE_THROWS_AS(stuck.get(), mp::CancelledError);
    REQUIRE(pool.apply(square, 3) == 9);
    REQUIRE(!bystander.ready());
    gate.open();
    REQUIRE(bystander.get() == 5);
    REQUIRE(!bystander.cancel(true));
}

TEMPLATE_TEST_CASE("Results that nobody keeps leave no memory behind", "[pool]", START_METHODS) {
    const Tidy tidy;
    mp::BasicPool<TestType> pool(2);
    const auto use = [&] {
        for (int i = 0; i < 400; ++i) {
            pool.apply_async(mirror, Point{1, std::string(20'000, 'x')});
        }
        for (int i = 0; i < 400; ++i) pool.apply(square, 1);  // they are freed as others come
    };
    use();
    const std::size_t before = mp::detail::heap().segment().memory();
    for (int i = 0; i < 5; ++i) use();
    REQUIRE(support::heap_shrinks_to(before + (8 << 20)));
}
