// What a Connection costs, beside the raw pipe and the raw socket pair under it, read in pieces of
// exactly the message's size. In one run: they alternate, and the table shows medians and their
// ratio.
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

namespace {

/// Runs both alternately and prints a row.
void compare(const char* work, const char* raw, double goal, int rounds,
             const std::function<double()>& ours, const std::function<double()>& theirs) {
    const measure::Comparison times = measure::alternate(rounds, ours, theirs);
    std::printf("%-36s %9.0f ns   %-16s %9.0f ns   %5.2f ×   (goal ≤ %.1f ×)\n", work, times.ours,
                raw, times.theirs, times.ratio(), goal);
    std::fflush(stdout);
}

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

}  // namespace

int main() {
    constexpr long many = 100'000;
    constexpr std::size_t mebibyte = std::size_t{1} << 20;
    constexpr std::size_t pieces = std::size_t{64} << 10;
    const auto small_raw = [](bool is_socket) {
        return [=] { return stream_raw(is_socket, 64, 64, many); };
    };
    compare(
        "Pipe(false), 64 B, send_bytes", "raw pipe", 1.2, 21,
        [] { return stream_bytes(false, 64, many); }, small_raw(false));
    compare(
        "Pipe(false), 64 B, recv_bytes_into", "raw pipe", 1.2, 21,
        [] { return stream_bytes_into(false, 64, many); }, small_raw(false));
    compare(
        "Pipe(false), 64 B, send of a struct", "raw pipe", 1.2, 21,
        [] { return stream_objects(false, many); }, small_raw(false));
    compare(
        "Pipe(), 64 B, send_bytes", "raw socket pair", 1.2, 11,
        [] { return stream_bytes(true, 64, many); }, small_raw(true));
    compare(
        "Pipe(), 64 B, send of a struct", "raw socket pair", 1.2, 11,
        [] { return stream_objects(true, many); }, small_raw(true));
    const auto large_raw = [](bool is_socket) {
        return [=] { return stream_raw(is_socket, mebibyte, pieces, 500); };
    };
    compare(
        "Pipe(false), 1 MiB, recv_bytes", "raw pipe", 1.0, 21,
        [] { return stream_bytes(false, mebibyte, 500); }, large_raw(false));
    compare(
        "Pipe(false), 1 MiB, recv_bytes_into", "raw pipe", 1.0, 21,
        [] { return stream_bytes_into(false, mebibyte, 500); }, large_raw(false));
    compare(
        "Pipe(false), 1 MiB, send of a vector", "raw pipe", 1.0, 21,
        [] { return stream_vectors(false, mebibyte, 500); }, large_raw(false));
    compare(
        "Pipe(), 1 MiB, recv_bytes", "raw pipe", 1.0, 11,
        [] { return stream_bytes(true, mebibyte, 500); }, large_raw(false));
    compare(
        "Pipe(), 1 MiB, recv_bytes", "raw socket pair", 1.2, 11,
        [] { return stream_bytes(true, mebibyte, 500); }, large_raw(true));
    compare(
        "Pipe(), 1 MiB, send of a vector", "raw socket pair", 1.2, 11,
        [] { return stream_vectors(true, mebibyte, 500); }, large_raw(true));
    compare(
        "Pipe(), 64 B, there and back", "raw socket pair", 1.2, 11,
        [] { return round_trip(20'000); }, [] { return round_trip_raw(20'000); });
}
