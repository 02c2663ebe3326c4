// detail/robust_mutex: nobody sleeps on beside a free one. SPDX-License-Identifier: MIT
#include <multiprocessing/detail/robust_mutex.hpp>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <new>
#include <thread>
#include <vector>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using mp::detail::RobustLock;
using mp::detail::RobustMutex;

namespace {

/// A mutex and what it guards, in memory that forked children share.
struct Guarded {
    RobustMutex mutex;
    std::atomic<bool> ends{false};
    long twice = 0;  // the same as `count`, unless somebody was killed in between
    long count = 0;
};

/// Locks and unlocks it by three threads until that is to end.
void use(Guarded& guarded) {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&guarded] {
            while (!guarded.ends) {
                const RobustLock lock(guarded.mutex, [&guarded] { guarded.twice = guarded.count; });
                guarded.twice = guarded.twice + 1;
                guarded.count = guarded.twice;
            }
        });
    }
}

}  // namespace

TEST_CASE("Waiters go on when one of them is killed as it wakes up", "[detail]") {
    const support::Watchdog watchdog(120);
    void* const place =
        ::mmap(nullptr, sizeof(Guarded), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(place != MAP_FAILED);
    auto& guarded = *new (place) Guarded;
    guarded.mutex.initialize();
    support::Random random(1);
    for (int round = 0; round < (support::sanitized ? 10 : 60); ++round) {
        guarded.ends = false;
        std::array<pid_t, 4> children{};
        for (pid_t& child : children) {
            child = ::fork();
            if (child == 0) {
                use(guarded);
                ::_exit(0);
            }
        }
        for (std::size_t i = 0; i < 2; ++i) {
            ::usleep(static_cast<useconds_t>(random() % 20'000));
            ::kill(children[i], SIGKILL);
        }
        guarded.ends = true;
        for (const pid_t child : children) {
            REQUIRE(support::eventually([&] { return ::waitpid(child, nullptr, WNOHANG) != 0; }));
        }
    }
    CHECK(guarded.twice == guarded.count);
    ::munmap(place, sizeof(Guarded));
}
