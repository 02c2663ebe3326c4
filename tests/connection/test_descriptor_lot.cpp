// connection/descriptor_lot.hpp: descriptors that wait for the reader of their ticket, and what a
// process leaves that is killed while it has the lot locked.
// SPDX-License-Identifier: MIT
#include <poll.h>
#include <algorithm>

#include "tests/connection/support.hpp"

using mp::detail::AnyHandle;
using mp::detail::Descriptor;
using mp::detail::DescriptorLot;
using mp::detail::Handle;
using mp::detail::park_descriptor;
using mp::detail::ParkedDescriptor;
using mp::detail::take_parked_descriptor;

namespace {

/// A file that says which one it is, and its ticket.
struct Parked {
    Descriptor read;  // sees the end of the file when nobody has the parked one any more
    Handle<ParkedDescriptor> ticket;

    Parked() {
        auto [reading, writing] = mp::detail::make_pipe();
        read = std::move(reading);
        ticket = park_descriptor(writing.get());
    }
    /// Whether the other end is this one's.
    [[nodiscard]] bool is_other_end(const Descriptor& fd) const {
        char out = 'x';
        char in = 0;
        return ::write(fd.get(), &out, 1) == 1 && ::read(read.get(), &in, 1) == 1 && in == 'x';
    }
    [[nodiscard]] bool is_at_end() const {
        pollfd entry{read.get(), POLLIN, 0};
        return ::poll(&entry, 1, 0) == 1 && (entry.revents & POLLHUP) != 0;
    }
};

/// The steps of which park and take consist, done by half.
class HalfDone : public DescriptorLot {
  public:
    void send_copy_of_front() {
        const Front front = look();
        const int fd = front.fd.get();
        send(front.number, std::span(&fd, 1));
    }
    void move_front() { move_to_end(look()); }
    void look_only() { const Front front = look(); }
    void park_and_keep_lock(ParkedDescriptor& ticket, int fd) {
        ticket.number = ++state().last_number;
        state().in_hand = ticket.number;
        send(ticket.number, std::span(&fd, 1));
    }
    void take_by_half(const ParkedDescriptor& ticket) {
        state().in_hand = ticket.number;
        while (look().number != ticket.number) move_front();
    }
    void take_and_keep_lock(const ParkedDescriptor& ticket) {
        take_by_half(ticket);
        drop_front();
    }
    void begin_repair() {
        state().damaged = 1;
        send(++state().last_number, {});
        move_front();
        send_copy_of_front();
    }
};

/// Runs `body(lot)` in a child that is killed right after, with the lot locked.
template <class Body>
void die_with_lock(Body body) {
    mp::ForkProcess process([&] {
        HalfDone lot;
        body(lot);
        ::raise(SIGKILL);
    });
    process.start();
    process.join();
    REQUIRE(process.exitcode() == -SIGKILL);
}

}  // namespace

TEST_CASE("Descriptors are taken out in any order, each once", "[connection]") {
    const NothingLeft check;
    support::Random random(1);
    for (int round = 0; round < 20; ++round) {
        std::vector<Parked> parked(10);
        while (!parked.empty()) {
            std::swap(parked[random() % parked.size()], parked.back());
            REQUIRE_FALSE(parked.back().is_at_end());
            {
                const Descriptor fd = take_parked_descriptor(parked.back().ticket.any());
                REQUIRE(parked.back().is_other_end(fd));
            }
            REQUIRE(parked.back().is_at_end());
            REQUIRE_THROWS_AS(take_parked_descriptor(parked.back().ticket.any()), mp::ProcessError);
            parked.pop_back();
        }
    }
}

TEST_CASE("A ticket that goes unread takes its descriptor along", "[connection]") {
    const NothingLeft check;
    std::vector<Parked> parked(5);
    parked[2].ticket = {};
    REQUIRE(parked[2].is_at_end());
    REQUIRE(parked[1].is_other_end(take_parked_descriptor(parked[1].ticket.any())));
    const mp::Event no_ticket;
    REQUIRE_THROWS_AS(take_parked_descriptor(no_ticket.shared_handle()), mp::ProcessError);
}

TEST_CASE("The lot takes hundreds of descriptors, and refuses those that are too many",
          "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    auto [read, write] = mp::detail::make_pipe();
    std::vector<Handle<ParkedDescriptor>> tickets;
    int error = 0;
    while (error == 0 && tickets.size() < 100'000) {
        error = errno_of([&, fd = write.get()] { tickets.push_back(park_descriptor(fd)); });
    }
    // ETOOMANYREFS: without privilege the kernel counts at most RLIMIT_NOFILE on their way.
    REQUIRE((error == ENOBUFS || error == ETOOMANYREFS));
    REQUIRE(tickets.size() > 100);
    // Full as it is, everything in it can be moved.
    const std::size_t last = tickets.size() - 1;
    REQUIRE(take_parked_descriptor(tickets[last].any()));
    REQUIRE(take_parked_descriptor(tickets[1].any()));
    die_with_lock([](HalfDone& lot) { lot.send_copy_of_front(); });
    REQUIRE(take_parked_descriptor(tickets[last / 2].any()));
    // The order of a queue: else each would have to pass by all others.
    for (std::size_t i = last / 2 + 1; i < last; ++i) tickets[i] = {};
    tickets.clear();
}

TEST_CASE("Without descriptors left a take is EMFILE, and the descriptor stays", "[connection]") {
    const NothingLeft check;
    const Parked first;
    const Parked second;
    {
        const support::FewDescriptors few(0);
        for (const Parked* parked : {&first, &second}) {
            REQUIRE(errno_of([&] { (void)take_parked_descriptor(parked->ticket.any()); }) ==
                    EMFILE);
        }
    }
    REQUIRE(second.is_other_end(take_parked_descriptor(second.ticket.any())));
    REQUIRE(first.is_other_end(take_parked_descriptor(first.ticket.any())));
}

TEST_CASE("A process killed at any step with the lot locked loses and doubles nothing of others",
          "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(120);
    std::vector<Parked> parked(4);
    auto victim = std::make_unique<Parked>();
    const auto others_are_there = [&] {
        support::Random random(3);
        for (int i = 0; i < 4; ++i) std::swap(parked[random() % 4], parked[random() % 4]);
        for (Parked& one : parked) {
            REQUIRE_FALSE(one.is_at_end());
            {
                const Descriptor fd = take_parked_descriptor(one.ticket.any());
                REQUIRE(one.is_other_end(fd));
                one.ticket = park_descriptor(fd.get());
            }
        }
    };
    SECTION("before it did anything") {
        die_with_lock([](HalfDone&) {});
    }
    SECTION("with the front looked at") {
        die_with_lock([](HalfDone& lot) { lot.look_only(); });
    }
    SECTION("between the copy to the end and the removal at the front") {
        die_with_lock([](HalfDone& lot) { lot.send_copy_of_front(); });
        die_with_lock([](HalfDone& lot) { lot.send_copy_of_front(); });
    }
    SECTION("in the middle of a repair, twice") {
        die_with_lock([](HalfDone& lot) { lot.begin_repair(); });
        die_with_lock([](HalfDone& lot) { lot.begin_repair(); });
    }
    SECTION("having parked one: it is nobody's, and its end is seen") {
        auto [read, write] = mp::detail::make_pipe();
        die_with_lock([fd = write.get()](HalfDone& lot) {
            static const auto ticket = mp::detail::make_shared_object<ParkedDescriptor>();
            lot.park_and_keep_lock(*ticket, fd);
        });
        write.reset();
        others_are_there();
        pollfd entry{read.get(), POLLIN, 0};
        REQUIRE(::poll(&entry, 1, 0) == 1);
    }
    SECTION("about to take one: it is taken, and its end is seen") {
        die_with_lock([&](HalfDone& lot) { lot.take_by_half(*victim->ticket); });
        others_are_there();
        REQUIRE(victim->is_at_end());
        REQUIRE_THROWS_AS(take_parked_descriptor(victim->ticket.any()), mp::ProcessError);
    }
    SECTION("having taken one") {
        die_with_lock([&](HalfDone& lot) { lot.take_and_keep_lock(*victim->ticket); });
        others_are_there();
        REQUIRE(victim->is_at_end());
    }
    others_are_there();
    victim.reset();
    others_are_there();
}
