// Processes killed at random moments while they send, receive, park and take.
// CTEST: TIMEOUT 600
// SPDX-License-Identifier: MIT
#include <cstring>

#include "tests/connection/support.hpp"

using mp::detail::Descriptor;
using mp::detail::park_descriptor;
using mp::detail::take_parked_descriptor;

namespace {

constexpr int kills = support::sanitized ? 60 : 500;

/// A connection and a number that was sent through it.
struct Parcel {
    int number;
    mp::Connection end;
};

void send_for_ever(mp::Connection& end) {
    for (unsigned i = 0;; ++i) {
        end.send_bytes(pattern(i % 5 == 0 ? 300'000 : i * 61 % 3000, i));
        end.send(i);
    }
}

void send_parcels_for_ever(mp::Connection& to) {
    for (int i = 0;; ++i) {
        auto [read, write] = mp::Pipe(i % 2 == 0);
        write.send(i);
        to.send(Parcel{i, std::move(read)});
    }
}

/// Receives parcels and says which through `done`, so that it is known which were taken out.
void receive_parcels_for_ever(mp::Connection& from) {
    for (;;) {
        auto parcel = from.recv<Parcel>();
        if (parcel.end.recv<int>() != parcel.number) ::_exit(9);
    }
}

void park_and_take_for_ever() {
    auto [read, write] = mp::detail::make_pipe();
    for (;;) {
        auto first = park_descriptor(read.get());
        const auto second = park_descriptor(write.get());
        const Descriptor fd = take_parked_descriptor(second.any());
        first = {};
    }
}

/// Kills the child after up to so many microseconds.
template <class Method>
void kill_soon(mp::BasicProcess<Method>& process, support::Random& random, unsigned most) {
    process.start();
    ::usleep(random() % most);
    process.kill();
    process.join();
    REQUIRE(process.exitcode() == -SIGKILL);
}

}  // namespace

TEST_CASE("A sender killed in mid-message leaves whole messages and an end that is seen",
          "[connection][storm]") {
    const NothingLeft check;
    const Watchdog watchdog(300);
    support::Random random(1);
    for (int round = 0; round < kills / 3; ++round) {
        auto [a, b] = mp::Pipe(round % 2 == 0);
        mp::ForkProcess process([end = &b] { send_for_ever(*end); });
        process.start();
        std::thread killer([&, delay = random() % 5000] {
            ::usleep(delay);
            process.kill();
        });
        b.close();
        try {
            for (unsigned i = 0;; ++i) {
                const std::string bytes = a.recv_bytes();
                if (bytes != pattern(i % 5 == 0 ? 300'000 : i * 61 % 3000, i)) FAIL("mixed up");
                if (a.recv<unsigned>() != i) FAIL("mixed up");
            }
        } catch (const mp::EOFError&) {
        } catch (const std::system_error& error) {
            REQUIRE(error.code().value() == ECONNRESET);
        }
        killer.join();
        process.join();
    }
}

TEST_CASE("A receiver killed at any moment is EPIPE for the sender, not a hang",
          "[connection][storm]") {
    const NothingLeft check;
    const Watchdog watchdog(300);
    support::Random random(2);
    for (int round = 0; round < kills / 5; ++round) {
        auto [a, b] = mp::Pipe(round % 2 == 0);
        mp::ForkProcess process([end = &a] {
            for (;;) (void)end->recv_bytes();
        });
        process.start();
        a.close();
        std::thread killer([&, delay = random() % 3000] {
            ::usleep(delay);
            process.kill();
        });
        REQUIRE(errno_of([end = &b] {
                    for (unsigned i = 0;; ++i) end->send_bytes(pattern(i % 7 * 30'000, i));
                }) == EPIPE);
        killer.join();
        process.join();
    }
}

TEST_CASE("A process killed while it sends connections mixes none up", "[connection][storm]") {
    const Watchdog watchdog(500);
    support::Random random(3);
    const int mailbox = support::bytes_in_mailbox();
    for (int round = 0; round < kills; ++round) {
        // Mostly through a pipe, where they are parked on the way.
        auto [a, b] = mp::Pipe(round % 4 == 0);
        mp::ForkProcess process([end = &b] { send_parcels_for_ever(*end); });
        kill_soon(process, random, 3000);
        b.close();
        try {
            for (int i = 0;; ++i) {
                auto parcel = a.recv<Parcel>();
                REQUIRE(parcel.number == i);
                REQUIRE(parcel.end.recv<int>() == i);
                REQUIRE_THROWS_AS(parcel.end.recv<int>(), mp::EOFError);
            }
        } catch (const mp::EOFError&) {
        } catch (const std::system_error& error) {
            REQUIRE(error.code().value() == ECONNRESET);
        }
    }
    // At worst, each left the one that was parked and whose message was not sent yet.
    const int each = 2048;  // bytes, generously
    REQUIRE(support::bytes_in_mailbox() - mailbox <= kills * each);
    REQUIRE_FALSE(support::has_children());
}

TEST_CASE("A process killed while it receives connections costs the others none",
          "[connection][storm]") {
    const Watchdog watchdog(500);
    support::Random random(4);
    for (int round = 0; round < kills; ++round) {
        auto [a, b] = mp::Pipe(round % 4 == 0);
        std::vector<mp::Connection> peers;
        for (int i = 0; i < 40; ++i) {
            auto [mine, theirs] = mp::Pipe();
            mine.send(i);
            b.send(Parcel{i, std::move(theirs)});
            peers.push_back(std::move(mine));
        }
        mp::ForkProcess process([from = &a, &peers] {
            peers.clear();
            receive_parcels_for_ever(*from);
        });
        kill_soon(process, random, 4000);
        b.close();
        // Over a socket a message with a connection has two parts. A receiver that is killed
        // between them leaves a stream that nobody can follow.
        try {
            for (int last = -1;;) {
                auto parcel = a.recv<Parcel>();
                REQUIRE(parcel.number > last);
                last = parcel.number;
                REQUIRE(parcel.end.recv<int>() == parcel.number);
                parcel.end.send(parcel.number);
                REQUIRE(peers[static_cast<std::size_t>(last)].recv<int>() == last);
                parcel.end.close();
                REQUIRE_THROWS_AS(peers[static_cast<std::size_t>(last)].recv<int>(), mp::EOFError);
            }
        } catch (const mp::EOFError&) {
        } catch (const mp::ProcessError&) {
            REQUIRE(round % 4 == 0);
        } catch (const std::system_error& error) {
            REQUIRE((round % 4 == 0 && error.code().value() == ECONNRESET));
        }
        a.close();
        // All that it took are closed with it, but for the one that was between pipe and lot.
        int open = 0;
        for (mp::Connection& peer : peers) open += !peer.poll();
        REQUIRE(open <= 1);
    }
    REQUIRE_FALSE(support::has_children());
}

TEST_CASE("A process killed in the lot neither locks it nor takes what is another's",
          "[connection][storm]") {
    const Watchdog watchdog(500);
    support::Random random(5);
    struct Parked {
        Descriptor read;
        mp::detail::Handle<mp::detail::ParkedDescriptor> ticket;
    };
    std::vector<Parked> parked;
    for (int i = 0; i < 5; ++i) {
        auto [read, write] = mp::detail::make_pipe();
        parked.push_back({std::move(read), park_descriptor(write.get())});
    }
    for (int round = 0; round < kills; ++round) {
        mp::ForkProcess first(park_and_take_for_ever);
        mp::ForkProcess second(park_and_take_for_ever);
        second.start();
        kill_soon(first, random, 2000);
        for (Parked& one : parked) {
            const Descriptor fd = take_parked_descriptor(one.ticket.any());
            char byte = 'x';
            REQUIRE(::write(fd.get(), &byte, 1) == 1);
            REQUIRE(::read(one.read.get(), &byte, 1) == 1);
            one.ticket = park_descriptor(fd.get());
        }
        second.kill();
        second.join();
    }
    for (Parked& one : parked) {
        one.ticket = {};
        char byte = 0;
        REQUIRE(::read(one.read.get(), &byte, 1) == 0);  // the end: nobody else has it
    }
    REQUIRE_FALSE(support::has_children());
}
