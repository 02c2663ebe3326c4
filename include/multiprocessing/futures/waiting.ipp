// multiprocessing/futures/waiting.ipp
//
// How a thread waits for several calls at once: see waiting.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/futures/waiting.hpp"

#include <algorithm>

#include "multiprocessing/detail/futex.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/pool/calls/call_home.hpp"
#include "multiprocessing/pool/calls/courier.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE DoneList::DoneList(std::vector<Waited> calls) {
    for (Waited& each : calls) {
        const auto known = std::ranges::find(groups_, each.home, &Group::home);
        Group& group =
            known != groups_.end() ? *known : groups_.emplace_back(Group{each.home, {}, 0, 0});
        group.left.push_back(std::move(each));
    }
    for (Group& group : groups_) {
        group.left.sort(
            [](const Waited& a, const Waited& b) { return a.call->order() < b.call->order(); });
        if (group.home) group.withdrawals = group.home->withdrawals() - 1;  // look at all
    }
    look();
}

MULTIPROCESSING_INLINE std::optional<std::size_t> DoneList::next(const Deadline& deadline) {
    while (done_.empty()) {
        if (deadline.has_passed()) return std::nullopt;
        listen();
        if (look()) break;
        wait(deadline);
    }
    const std::size_t first = done_.front().index;
    done_.pop_front();
    return first;
}

/// Asks the executors to tell when one of the calls is over. Not in the constructor: a thread that
/// looks only once needs no telling.
MULTIPROCESSING_INLINE void DoneList::listen() {
    if (std::exchange(listens_, true)) return;
    for (const Group& group : groups_) {
        for (const Waited& each : group.left) each.call->ask_for_notice();
    }
}

/// Moves the calls that are over to the list of these. @returns whether there are any
MULTIPROCESSING_INLINE bool DoneList::look() {
    for (Group& group : groups_) look(group);
    return !done_.empty();
}

MULTIPROCESSING_INLINE void DoneList::look(Group& group) {
    bool all = true;
    if (group.home) {
        group.arrivals = group.home->arrivals().word->load();
        all = std::exchange(group.withdrawals, group.home->withdrawals()) != group.withdrawals;
    }
    std::list<Waited> found;
    for (auto each = group.left.begin(); each != group.left.end();) {
        const auto next = std::next(each);
        if (each->call->is_ready()) {
            auto place = found.end();
            const std::uint64_t arrival = each->call->arrival();
            while (place != found.begin() && std::prev(place)->call->arrival() > arrival) --place;
            found.splice(place, group.left, each);
        } else if (!all && !each->call->is_started()) {
            break;  // no worker has begun those behind it either
        }
        each = next;
    }
    done_.splice(done_.end(), found);
}

/// Sleeps until an executor says that a call is over, or given up.
MULTIPROCESSING_INLINE void DoneList::wait(const Deadline& deadline) {
    std::vector<FutexExpectation> words;
    std::vector<Arrivals> arrivals;
    for (const Group& group : groups_) {
        if (group.left.empty() || !group.home) continue;
        arrivals.push_back(group.home->arrivals());
        words.push_back({arrivals.back().word, group.arrivals});
    }
    if (words.empty()) return;
    for (const Arrivals& each : arrivals) each.listeners->fetch_add(1);
    futex_wait_any(words, deadline);
    for (const Arrivals& each : arrivals) each.listeners->fetch_sub(1);
}

MULTIPROCESSING_INLINE void throw_unfinished(std::size_t left, std::size_t count) {
    throw TimeoutError(std::to_string(left) + " (of " + std::to_string(count) +
                       ") futures unfinished");
}

}  // namespace multiprocessing::detail
