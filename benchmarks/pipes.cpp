// What a Connection costs, beside the raw pipe and the raw socket pair under it, read in pieces of
// exactly the message's size.
#include <multiprocessing/connection.hpp>
#include <multiprocessing/process.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/measure.hpp"

namespace mp = multiprocessing;
using measure::ours;

namespace {

/// The ends of a raw pipe or socket pair, the first to read from.
struct RawEnds {
    mp::detail::Descriptor read;
    mp::detail::Descriptor write;

    explicit RawEnds(bool is_socket) {
        if (is_socket) {
            auto [a, b] = mp::detail::make_socket_pair(SOCK_STREAM);
            read = std::move(a);
            write = std::move(b);
        } else {
            auto [r, w] = mp::detail::make_pipe();
            read = std::move(r);
            write = std::move(w);
        }
    }
};

void raw_write(int fd, const char* bytes, std::size_t size) {
    while (size > 0) {
        const ssize_t written = ::write(fd, bytes, size);
        if (written <= 0) std::abort();
        bytes += written;
        size -= static_cast<std::size_t>(written);
    }
}

void raw_read(int fd, char* bytes, std::size_t size, std::size_t at_once) {
    while (size > 0) {
        const ssize_t got = ::read(fd, bytes, std::min(size, at_once));
        if (got <= 0) std::abort();
        bytes += got;
        size -= static_cast<std::size_t>(got);
    }
}

/// Runs `send` in a child and `receive` here. @returns nanoseconds a message
double stream(long messages, const std::function<void()>& send,
              const std::function<void()>& receive) {
    mp::ForkProcess sender([&] {
        for (long i = 0; i < messages; ++i) send();
    });
    sender.start();
    receive();  // the first message comes when the child runs
    const double time = measure::nanoseconds_for(messages - 1, [&] {
        for (long i = 1; i < messages; ++i) receive();
    });
    sender.join();
    return time;
}

double stream_raw(bool is_socket, std::size_t size, std::size_t at_once, long messages) {
    const RawEnds ends(is_socket);
    std::vector<char> out(size, 'x');
    std::vector<char> in(size);
    return stream(
        messages, [&] { raw_write(ends.write.get(), out.data(), size); },
        [&] { raw_read(ends.read.get(), in.data(), size, at_once); });
}

double stream_bytes(bool duplex, std::size_t size, long messages) {
    auto [a, b] = mp::Pipe(duplex);
    const std::string out(size, 'x');
    return stream(
        messages, [&] { b.send_bytes(out); },
        [&] {
            if (a.recv_bytes().size() != size) std::abort();
        });
}

double stream_bytes_into(bool duplex, std::size_t size, long messages) {
    auto [a, b] = mp::Pipe(duplex);
    const std::string out(size, 'x');
    std::vector<std::byte> in(size);
    return stream(
        messages, [&] { b.send_bytes(out); },
        [&] {
            if (a.recv_bytes_into(in) != size) std::abort();
        });
}

struct Item {
    double numbers[8];
};

double stream_objects(bool duplex, long messages) {
    auto [a, b] = mp::Pipe(duplex);
    const Item item{{1, 2, 3}};
    return stream(
        messages, [&] { b.send(item); },
        [&] {
            if (a.recv<Item>().numbers[1] != 2) std::abort();
        });
}

double stream_vectors(bool duplex, std::size_t size, long messages) {
    auto [a, b] = mp::Pipe(duplex);
    const std::vector<double> out(size / sizeof(double), 1.5);
    return stream(
        messages, [&] { b.send(out); },
        [&] {
            if (a.recv<std::vector<double>>().size() != out.size()) std::abort();
        });
}

double round_trip_raw(long messages) {
    const RawEnds ends(true);
    char byte[64] = {};
    mp::ForkProcess echo([&] {
        for (long i = 0; i < messages; ++i) {
            raw_read(ends.write.get(), byte, 64, 64);
            raw_write(ends.write.get(), byte, 64);
        }
    });
    echo.start();
    return measure::nanoseconds_for(messages, [&] {
        for (long i = 0; i < messages; ++i) {
            raw_write(ends.read.get(), byte, 64);
            raw_read(ends.read.get(), byte, 64, 64);
        }
    });
}

double round_trip(long messages) {
    auto [a, b] = mp::Pipe();
    mp::ForkProcess echo([&, end = &b] {
        for (long i = 0; i < messages; ++i) end->send(end->recv<Item>());
    });
    echo.start();
    const Item item{};
    return measure::nanoseconds_for(messages, [&, end = &a] {
        for (long i = 0; i < messages; ++i) {
            end->send(item);
            (void)end->recv<Item>();
        }
    });
}

constexpr std::size_t mebibyte = std::size_t{1} << 20;

void bench_small(const measure::Run& run) {
    constexpr long many = 50'000;
    const measure::Contender pipe{"a raw pipe", [] { return stream_raw(false, 64, 64, many); }};
    const measure::Contender sockets{"a raw socket pair",
                                     [] { return stream_raw(true, 64, 64, many); }};
    // A message of 64 bytes with its header. Without one it is exactly a cache line, and it moves
    // from core to core at half the price of 96 bytes on some processors.
    const measure::Contender longer{"a raw pipe, 96 B", [] {
                                        constexpr std::size_t size = mp::detail::cell_size;
                                        return stream_raw(false, size, size, many);
                                    }};
    run.take_turns("pipe/64 B", 41,
                   {{ours, [] { return stream_bytes(false, 64, many); }}, pipe, longer});
    run.take_turns("pipe/64 B into", 41,
                   {{ours, [] { return stream_bytes_into(false, 64, many); }}, pipe, longer});
    run.take_turns("pipe/64 B struct", 41,
                   {{ours, [] { return stream_objects(false, many); }}, pipe, longer});
    run.take_turns("pipe/64 B duplex", 21,
                   {{ours, [] { return stream_bytes(true, 64, many); }}, sockets});
    run.take_turns("pipe/64 B struct duplex", 21,
                   {{ours, [] { return stream_objects(true, many); }}, sockets});
    run.take_turns("pipe/round trip", 21,
                   {{ours, [] { return round_trip(10'000); }},
                    {"a raw socket pair", [] { return round_trip_raw(10'000); }}});
}

void bench_large(const measure::Run& run) {
    constexpr long some = 300;
    // In pieces of what a pipe holds.
    const auto raw = [](bool is_socket) {
        return [=] { return stream_raw(is_socket, mebibyte, std::size_t{64} << 10, some); };
    };
    const measure::Contender pipe{"a raw pipe", raw(false)};
    const measure::Contender sockets{"a raw socket pair", raw(true)};
    run.take_turns("pipe/1 MiB", 31,
                   {{ours, [] { return stream_bytes(false, mebibyte, some); }}, pipe});
    run.take_turns("pipe/1 MiB into", 31,
                   {{ours, [] { return stream_bytes_into(false, mebibyte, some); }}, pipe});
    run.take_turns("pipe/1 MiB vector", 31,
                   {{ours, [] { return stream_vectors(false, mebibyte, some); }}, pipe});
    run.take_turns("pipe/1 MiB duplex", 21,
                   {{ours, [] { return stream_bytes(true, mebibyte, some); }}, pipe, sockets});
    run.take_turns("pipe/1 MiB vector duplex", 21,
                   {{ours, [] { return stream_vectors(true, mebibyte, some); }}, sockets});
}

void bench_by_size(const measure::Run& run) {
    for (std::size_t size = 8; size <= 64 * mebibyte; size *= 8) {
        const long messages =
            std::clamp(static_cast<long>(100 * mebibyte / (size + 2'048)), 4L, 50'000L);
        run.take_turns_at(
            static_cast<double>(size), "pipe/size", 6,
            {{ours, [=] { return stream_bytes(false, size, messages); }},
             {"a raw pipe", [=] { return stream_raw(false, size, size, messages); }}});
    }
}

}  // namespace

int main(int argc, char** argv) {
    const measure::Run run(argc, argv);
    bench_small(run);
    bench_large(run);
    bench_by_size(run);
}
