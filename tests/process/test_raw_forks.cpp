// Processes that a program forks by itself, with fork(2): the family takes them in when they first
// use something of it, and they leave without a word. SPDX-License-Identifier: MIT
#include "tests/process/support.hpp"

#include <chrono>
#include <memory>
#include <multiprocessing/connection.hpp>
#include <multiprocessing/detail/pidfd.hpp>
#include <multiprocessing/managers.hpp>
#include <multiprocessing/queues.hpp>
#include <multiprocessing/sharedctypes.hpp>
#include <multiprocessing/synchronize.hpp>
#include <mutex>
#include <new>
#include <vector>

namespace {

/// Forks a child that runs `call` and leaves with what it returns. @returns its wait status
template <class Call>
int status_of_fork(Call call) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(call());
    int status = -1;
    REQUIRE(mp::detail::retry_on_eintr([&] { return ::waitpid(pid, &status, 0); }) == pid);
    return status;
}

/// All places in the family's table that are free; taken for processes that never start.
class FullTable {
  public:
    FullTable() {
        mp::detail::bury_orphans();  // or a process that needs a place finds theirs
        try {
            for (;;) taken_.push_back(family_.reserve(mp::detail::self(), "nobody"));
        } catch (const std::bad_alloc&) {  // full
        }
    }
    FullTable(const FullTable&) = delete;
    FullTable& operator=(const FullTable&) = delete;
    ~FullTable() {
        for (const mp::detail::ProcessId id : taken_) family_.withdraw(id);
    }

  private:
    mp::detail::Family& family_ = mp::detail::heap().family();
    std::vector<mp::detail::ProcessId> taken_;
};

/// Whether `call` returns or throws std::bad_alloc; what ends the program does neither.
template <class Call>
bool returns_or_throws_bad_alloc(Call call) {
    try {
        call();
    } catch (const std::bad_alloc&) {
    } catch (...) {
        return false;
    }
    return true;
}

}  // namespace

TEST_CASE("Forks of the program's own use what they have inherited, one after the other",
          "[process]") {
    const support::Watchdog watchdog(120);
    mp::Queue<int> queue;
    mp::Lock lock;
    const int forks = support::sanitized ? 200 : 3'000;
    for (int i = 0; i < forks; ++i) {
        REQUIRE(status_of_fork([&] {
                    const std::lock_guard guard(lock);
                    queue.put(i);
                    return 0;
                }) == 0);
        REQUIRE(queue.get(true, 20.0) == i);
    }
}

TEST_CASE("When the family's table is full, a further process gets an error that it can catch",
          "[process]") {
    const support::Watchdog watchdog(120);
    mp::Queue<int> queue;
    mp::JoinableQueue<int> tasks;
    tasks.put(1);
    mp::Lock lock;
    mp::RLock rlock;
    mp::Semaphore semaphore(1);
    mp::Event event;
    mp::Condition condition;
    mp::Barrier barrier(2);
    mp::Value<int> value(1);
    mp::Manager manager;
    auto dict = manager.dict<int, int>();
    auto list = manager.list<int>();
    auto pipe = mp::Pipe();
    {
        const FullTable full;
        const int status = status_of_fork([&] {
            int calls = 0;
            int first_wrong = 0;
            const auto check = [&](auto call) {
                ++calls;
                if (!returns_or_throws_bad_alloc(call) && first_wrong == 0) first_wrong = calls;
            };
            check([&] { queue.put(1); });
            check([&] { (void)queue.get(false); });
            check([&] { (void)queue.qsize(); });
            check([&] { tasks.task_done(); });
            check([&] { tasks.shutdown(true); });
            check([&] { queue.close(); });
            check([&] { (void)lock.acquire(); });
            check([&] { (void)rlock.acquire(); });
            check([&] { (void)semaphore.acquire(); });
            check([&] { event.set(); });
            check([&] { event.wait(0.01); });
            check([&] { const mp::Condition copy = condition; });
            check([&] { (void)condition.acquire(); });
            check([&] {
                try {
                    barrier.wait(0.01);
                } catch (const mp::BrokenBarrierError&) {  // a party that cannot wait breaks it
                }
            });
            check([&] { barrier.reset(); });
            check([&] { value.value += 1; });
            check([&] { dict[1] = 2; });
            check([&] { (void)dict.size(); });
            check([&] { list.append(1); });
            check([&] { pipe.first.send(lock); });
            check([&] { mp::Queue<int> another; });
            check([&] { mp::Process process(nothing); });
            return first_wrong;
        });
        REQUIRE(WIFEXITED(status));
        REQUIRE(WEXITSTATUS(status) == 0);  // else the number of the call
    }
    // And later there is room again.
    REQUIRE(status_of_fork([&] {
                const std::lock_guard guard(lock);
                queue.put(5);
                return 0;
            }) == 0);
}

TEST_CASE("The time to wait for children is linear in their number", "[process]") {
    // An object that all have inherited waits for the last of them, and is not looked at by each.
    const support::Watchdog watchdog(200);
    const auto time_of_joins = [](int count) {
        auto inherited = std::make_unique<mp::Lock>();
        mp::Event end;
        std::vector<std::unique_ptr<mp::ForkProcess>> children;
        for (int i = 0; i < count; ++i) {
            children.push_back(std::make_unique<mp::ForkProcess>([end] { end.wait(); }));
            children.back()->start();
        }
        inherited.reset();
        end.set();
        for (const auto& child : children) {
            REQUIRE(support::eventually(
                [&] { return !mp::detail::process_status(*child->pid())->is_running(); }));
        }
        const auto start = std::chrono::steady_clock::now();
        for (const auto& child : children) child->join();
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    };
    const int few = support::sanitized ? 20 : 100;
    const double time_of_few = time_of_joins(few);
    CHECK(time_of_joins(10 * few) < 40 * time_of_few);  // 10, and room for a busy machine
}
