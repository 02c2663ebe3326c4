// Handles that were moved from, or made empty: using one is a ValueError that says so.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <utility>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;

namespace {

/// Moves from a handle, uses it, and assigns to it again.
template <class Handle, class Use>
void check_moved_from(Handle handle, Use use) {
    INFO(mp::detail::type_name<Handle>());
    Handle taken = std::move(handle);
    CHECK_THROWS_AS(use(handle), mp::ValueError);
    CHECK_NOTHROW(use(taken));
    handle = taken;
    CHECK_NOTHROW(use(handle));
}

}  // namespace

TEST_CASE("A handle that was moved from says so when it is used", "[handles]") {
    const support::Watchdog watchdog(60);
    check_moved_from(mp::Queue<int>(), [](auto& q) { q.put(1); });
    check_moved_from(mp::Queue<int>(), [](auto& q) { (void)q.qsize(); });
    check_moved_from(mp::SimpleQueue<int>(), [](auto& q) { (void)q.empty(); });
    check_moved_from(mp::JoinableQueue<int>(), [](auto& q) { q.put(1); });
    check_moved_from(mp::Lock(), [](auto& lock) { (void)lock.acquire(false); });
    check_moved_from(mp::RLock(), [](auto& lock) { (void)lock.acquire(false); });
    check_moved_from(mp::Semaphore(3), [](auto& s) { (void)s.get_value(); });
    check_moved_from(mp::Event(), [](auto& e) { e.set(); });
    check_moved_from(mp::Barrier(1), [](auto& b) { (void)b.parties(); });
    check_moved_from(mp::Array<int>(3), [](auto& a) { a[0] = 1; });
    check_moved_from(mp::RawArray<int>(3), [](auto& a) { (void)a.size(); });
    mp::Value<int> value(3);
    const mp::Value<int> taken = std::move(value);
    value.value = 1;  // it is the same object still
    CHECK(taken.value == 1);
    mp::Manager manager;
    check_moved_from(manager.dict<int, int>(), [](auto& d) { d[1] = 2; });
    check_moved_from(manager.list<int>(), [](auto& l) { l.append(2); });
    check_moved_from(manager.Namespace(), [](auto& n) { n.set("a", 1); });
}

TEST_CASE("A proxy may be empty until it is assigned to, and travels so", "[handles]") {
    const support::Watchdog watchdog(60);
    mp::Manager manager;
    mp::DictProxy<int, int> dict;
    mp::ListProxy<int> list;
    mp::NamespaceProxy names;
    CHECK_THROWS_AS(dict.size(), mp::ValueError);
    CHECK_THROWS_AS(list.append(1), mp::ValueError);
    CHECK_THROWS_AS(names.set("a", 1), mp::ValueError);
    mp::Queue<mp::ListProxy<int>> queue;
    queue.put(list);
    auto arrived = queue.get();
    CHECK_THROWS_AS(arrived.append(1), mp::ValueError);
    list = manager.list<int>();
    queue.put(list);
    arrived = queue.get();
    arrived.append(5);
    CHECK(list[0] == 5);
}
