// What a connection of a Listener and a Client costs, over a Unix socket: objects as pickles, bytes
// in CPython's framing; and what a call of a method of a manager costs; beside the raw socket pair
// under them.
#include <multiprocessing/process.hpp>
#include <multiprocessing/remote.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/measure.hpp"
#include "benchmarks/raw_bytes.hpp"

namespace mp = multiprocessing;
using measure::ours;

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

/// Two processes, each with an end; the child runs until its end is closed.
class Pair {
  public:
    explicit Pair(const std::function<void(mp::Connection&)>& child)
        : process_([&child, this] {
              mp::Connection end = mp::connection::Client(listener_.address(), {.authkey = "key"});
              listener_.close();
              try {
                  child(end);
              } catch (const mp::EOFError&) {
              }
          }) {
        process_.start();
        end_.emplace(listener_.accept());
    }
    ~Pair() {
        end_.reset();
        process_.join();
    }
    mp::Connection& end() { return *end_; }

  private:
    mp::connection::Listener listener_{{}, {.authkey = "key"}};
    mp::ForkProcess process_;
    std::optional<mp::Connection> end_;
};

double round_trip(long messages) {
    Pair pair([](mp::Connection& end) {
        for (;;) end.send(end.recv<std::vector<double>>());
    });
    const std::vector<double> item(8, 1.0);
    return measure::nanoseconds_for(messages, [&] {
        for (long i = 0; i < messages; ++i) {
            pair.end().send(item);
            (void)pair.end().recv<std::vector<double>>();
        }
    });
}

double stream_bytes(long messages) {
    Pair pair([](mp::Connection& end) {
        const std::string out(mebibyte, 'x');
        for (;;) {
            const auto count = end.recv<long>();
            for (long i = 0; i < count; ++i) end.send_bytes(out);
        }
    });
    pair.end().send(messages);
    (void)pair.end().recv_bytes();  // the first message comes when the child runs
    return measure::nanoseconds_for(messages - 1, [&] {
        for (long i = 1; i < messages; ++i) {
            if (pair.end().recv_bytes().size() != mebibyte) std::abort();
        }
    });
}

double stream_bytes_into(long messages) {
    Pair pair([](mp::Connection& end) {
        const std::string out(mebibyte, 'x');
        for (;;) {
            const auto count = end.recv<long>();
            for (long i = 0; i < count; ++i) end.send_bytes(out);
        }
    });
    std::vector<std::byte> in(mebibyte);
    pair.end().send(messages);
    (void)pair.end().recv_bytes_into(in);
    return measure::nanoseconds_for(messages - 1, [&] {
        for (long i = 1; i < messages; ++i) {
            if (pair.end().recv_bytes_into(in) != mebibyte) std::abort();
        }
    });
}

double connect(long times) {
    mp::connection::Listener listener({}, {.authkey = "key", .backlog = 8});
    mp::ForkProcess client([&, address = listener.address()] {
        for (long i = 0; i < times; ++i) {
            mp::Connection end = mp::connection::Client(address, {.authkey = "key"});
            (void)end.recv_bytes();
        }
    });
    client.start();
    const double time = measure::nanoseconds_for(times, [&] {
        for (long i = 0; i < times; ++i) listener.accept().send_bytes("");
    });
    client.join();
    return time;
}

/// A method that adds two numbers, of an object in the process of a manager's server.
double call(long times) {
    struct Adder {
        double add(double a, double b) const { return a + b; }
    };
    mp::BaseManager manager({}, {.authkey = "key"});
    manager.register_type<Adder>("Adder", {{"add", &Adder::add}});
    manager.start();
    const mp::RemoteProxy adder = manager.create("Adder");
    (void)adder.call<double>("add", 1.0, 2.0);
    return measure::nanoseconds_for(times, [&] {
        for (long i = 0; i < times; ++i) {
            if (adder.call<double>("add", 1.0, 2.0) != 3.0) std::abort();
        }
    });
}

double raw_round_trip(long messages) {
    auto [here, there] = mp::detail::make_socket_pair(SOCK_STREAM);
    char bytes[76] = {};  // as many as the pickle has
    mp::ForkProcess echo([&, fd = there.get()] {
        for (long i = 0; i < messages; ++i) {
            read_all(fd, bytes, sizeof bytes);
            write_all(fd, bytes, sizeof bytes);
        }
    });
    echo.start();
    const double time = measure::nanoseconds_for(messages, [&] {
        for (long i = 0; i < messages; ++i) {
            write_all(here.get(), bytes, sizeof bytes);
            read_all(here.get(), bytes, sizeof bytes);
        }
    });
    echo.join();
    return time;
}

double raw_stream(long messages) {
    auto [here, there] = mp::detail::make_socket_pair(SOCK_STREAM);
    std::vector<char> bytes(mebibyte, 'x');
    mp::ForkProcess sender([&, fd = there.get()] {
        for (long i = 0; i < messages; ++i) write_all(fd, bytes.data(), bytes.size());
    });
    sender.start();
    read_all(here.get(), bytes.data(), bytes.size());
    const double time = measure::nanoseconds_for(messages - 1, [&] {
        for (long i = 1; i < messages; ++i) read_all(here.get(), bytes.data(), bytes.size());
    });
    sender.join();
    return time;
}

}  // namespace

int main(int argc, char** argv) {
    const measure::Run run(argc, argv);
    constexpr long many = 5'000;
    constexpr long some = 300;
    const measure::Contender sockets{"a raw socket pair", [] { return raw_stream(some); }};
    run.take_turns("remote/round trip", 21,
                   {{ours, [] { return round_trip(many); }},
                    {"a raw socket pair", [] { return raw_round_trip(many); }}});
    run.take_turns("remote/call", 21,
                   {{ours, [] { return call(many); }},
                    {"a raw socket pair", [] { return raw_round_trip(many); }}});
    run.take_turns("remote/1 MiB", 21, {{ours, [] { return stream_bytes(some); }}, sockets});
    run.take_turns("remote/1 MiB into", 21,
                   {{ours, [] { return stream_bytes_into(some); }}, sockets});
    run.take_turns("remote/connect", 9, {{ours, [] { return connect(300); }}});
}
