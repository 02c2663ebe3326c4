// connection/{connection,descriptor_passing}.hpp: connections in messages, arguments, tasks and
// results. SPDX-License-Identifier: MIT
#include <multiprocessing/pool.hpp>

#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <variant>

#include "tests/connection/support.hpp"

namespace {

struct Job {
    std::string name;
    mp::Connection reply;
};
struct Inner {
    std::vector<mp::Connection> ends;
    std::optional<mp::Connection> maybe;
    std::map<std::string, mp::Connection> named;
    std::pair<int, mp::Connection> pair;
};
struct Outer {
    mp::Event event;
    Inner inner;
    std::unique_ptr<mp::Connection> owned;
    std::variant<int, mp::Connection> either;
};

/// Says through which end it came, for each of them.
void answer(Outer& outer) {
    for (mp::Connection& end : outer.inner.ends) end.send("ends");
    outer.inner.maybe->send("maybe");
    outer.inner.named.at("a").send("named");
    outer.inner.pair.second.send("pair");
    outer.owned->send("owned");
    std::get<mp::Connection>(outer.either).send("either");
    outer.event.set();
}
void answer_all(Outer outer) { answer(outer); }
void answer_from_grandchild(mp::Connection end) {
    mp::SpawnProcess process(
        [](mp::Connection inherited) { inherited.send("from the grandchild"); }, std::move(end));
    process.start();
    process.join();
}

/// Sends a new pipe's end through each end that it receives.
void serve(mp::Connection requests) {
    try {
        for (;;) {
            Job job = requests.recv<Job>();
            auto [mine, theirs] = mp::Pipe(false);
            theirs.send(job.name);
            job.reply.send(std::move(mine));
        }
    } catch (const mp::EOFError&) {
    }
}
void connect_through(mp::Connection control) {
    auto end = control.recv<mp::Connection>();
    end.send("connected");
}
void hold(mp::Connection) { support::sleep_on(); }
void send_text(mp::Connection end, std::string text) { end.send(text); }
void send_job(const Job& job) { const_cast<mp::Connection&>(job.reply).send(job.name); }
mp::Connection make_end(std::string text) {
    auto [read, write] = mp::Pipe(false);
    write.send(text);
    return std::move(read);
}
void die_or_answer(mp::Connection end, mp::Event died) {
    if (!died.is_set()) {
        died.set();
        ::raise(SIGKILL);
    }
    end.send(1);
}

/// Sends more connections than an unprivileged process may have on their way. Its exit status says
/// how far it came.
void send_too_many() {
    constexpr uid_t nobody = 65534;
    if (::geteuid() == 0 && ::setresuid(nobody, nobody, nobody) != 0) mp::exit(77);
    const rlimit limit{100, 100};
    ::setrlimit(RLIMIT_NOFILE, &limit);
    auto [a, b] = mp::Pipe();
    auto [c, d] = mp::Pipe();
    std::vector<mp::Connection> many;
    for (int i = 0; i < 20; ++i) many.push_back(d.duplicate());
    const std::pair<mp::Event, std::vector<mp::Connection>> message(mp::Event(), std::move(many));
    int sent = -1;
    int error = 0;
    for (; error == 0 && sent < 20; ++sent) {
        error = errno_of([&, end = &b] { end->send(message); });
    }
    if (error != ETOOMANYREFS) mp::exit(1);
    for (; sent > 0; --sent) (void)a.recv<std::remove_const_t<decltype(message)>>();
    try {
        (void)a.recv<std::remove_const_t<decltype(message)>>();
        mp::exit(2);
    } catch (const mp::ProcessError&) {
    }
    b.send(5);  // in step all the same
    if (a.recv<int>() != 5) mp::exit(3);
    mp::exit(message.first.shared_handle().object()->references == 1 ? 0 : 4);
}

/// Makes an Outer, and keeps the ends that its answers arrive at.
Outer make_outer(std::vector<mp::Connection>& readers) {
    const auto end = [&] {
        auto [read, write] = mp::Pipe(readers.size() % 2 == 0);
        readers.push_back(std::move(read));
        return std::move(write);
    };
    Outer outer{{}, {{}, end(), {}, {1, end()}}, std::make_unique<mp::Connection>(end()), end()};
    outer.inner.ends.push_back(end());
    outer.inner.ends.push_back(end());
    outer.inner.named.emplace("a", end());
    return outer;
}
std::multiset<std::string> answers(std::vector<mp::Connection>& readers) {
    std::multiset<std::string> texts;
    for (mp::Connection& reader : readers) {
        texts.insert(reader.recv<std::string>());
        REQUIRE_THROWS_AS(reader.recv<std::string>(), mp::EOFError);
    }
    return texts;
}
const std::multiset<std::string> all_answers{"ends", "ends",  "maybe", "named",
                                             "pair", "owned", "either"};

}  // namespace

static_assert(mp::picklable<mp::Connection> && mp::picklable<Job> && mp::picklable<Outer>);

TEST_CASE("Connection: one goes through another, of each kind through each kind", "[connection]") {
    const NothingLeft check;
    for (const bool carrier : {true, false}) {
        for (const bool carried : {true, false}) {
            auto [a, b] = mp::Pipe(carrier);
            auto [c, d] = mp::Pipe(carried);
            b.send(d);
            auto e = a.recv<mp::Connection>();
            REQUIRE((e.readable() == carried && e.writable()));
            REQUIRE((::fcntl(e.fileno(), F_GETFD) & FD_CLOEXEC) != 0);
            e.send(1);
            d.send(2);  // the sender's stays open
            REQUIRE(c.recv<int>() == 1);
            REQUIRE(c.recv<int>() == 2);
            d.close();
            REQUIRE_FALSE(c.poll());
            e.close();
            REQUIRE_THROWS_AS(c.recv<int>(), mp::EOFError);
        }
    }
}

TEST_CASE("Connection: what std::move gives away is closed here", "[connection]") {
    const NothingLeft check;
    for (const bool carrier : {true, false}) {
        auto [a, b] = mp::Pipe(carrier);
        auto [c, d] = mp::Pipe();
        b.send(std::move(d));
        REQUIRE(d.closed());
        b.send(Job{"x", c.duplicate()});
        a.recv<mp::Connection>().send(1);
        REQUIRE(c.recv<int>() == 1);
        REQUIRE_THROWS_AS(c.recv<int>(), mp::EOFError);
        REQUIRE(a.recv<Job>().name == "x");
    }
}

TEST_CASE("Connection: a message with connections of the wrong type stays, with them",
          "[connection]") {
    const NothingLeft check;
    for (const bool carrier : {true, false}) {
        auto [a, b] = mp::Pipe(carrier);
        auto [c, d] = mp::Pipe();
        b.send(Job{"job", std::move(d)});
        REQUIRE_THROWS_AS(a.recv<mp::Connection>(), mp::TypeError);
        REQUIRE_THROWS_AS(a.recv_bytes(), mp::TypeError);
        auto job = a.recv<Job>();
        job.reply.send(job.name);
        REQUIRE(c.recv<std::string>() == "job");
    }
}

TEST_CASE("Connection: connections anywhere in a message arrive, each as itself", "[connection]") {
    const NothingLeft check;
    for (const bool carrier : {true, false}) {
        auto [a, b] = mp::Pipe(carrier);
        std::vector<mp::Connection> readers;
        b.send(make_outer(readers));
        {
            auto outer = a.recv<Outer>();
            answer(outer);
        }
        REQUIRE(answers(readers) == all_answers);
    }
}

// CPython's test_large_fd_transfer: more than select(2) and one byte can count.
TEMPLATE_TEST_CASE("Connection: the number of a descriptor may be large", "[connection]",
                   START_METHODS) {
    const NothingLeft check;
    const Watchdog watchdog(60);
    auto [a, b] = mp::Pipe();
    const int high = ::fcntl(b.fileno(), F_DUPFD_CLOEXEC, 1020);
    if (high < 0) return;  // RLIMIT_NOFILE
    b = mp::Connection(mp::detail::Descriptor(high), {true, true, true});
    REQUIRE_FALSE(b.poll());
    auto [control, child_control] = mp::Pipe();
    Child<TestType> child(connect_through, std::move(child_control));
    control.send(std::move(b));
    REQUIRE(a.recv<std::string>() == "connected");
    REQUIRE(child.join() == 0);
}

TEST_CASE("Connection: more connections in a message than the kernel takes at once arrive",
          "[connection]") {
    const NothingLeft check;
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const rlimit old = limit;
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4096);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 2000) return;
    auto [a, b] = mp::Pipe();
    auto [c, d] = mp::Pipe();
    std::vector<mp::Connection> many;
    for (int i = 0; i < 260; ++i) many.push_back(d.duplicate());
    d.close();
    b.send(std::move(many));
    many = a.recv<std::vector<mp::Connection>>();
    REQUIRE(many.size() == 260);
    for (int i = 0; i < 260; ++i) many[static_cast<std::size_t>(i)].send(i);
    for (int i = 0; i < 260; ++i) REQUIRE(c.recv<int>() == i);
    many.clear();
    REQUIRE_THROWS_AS(c.recv<int>(), mp::EOFError);
    ::setrlimit(RLIMIT_NOFILE, &old);
}

TEMPLATE_TEST_CASE("Connection: connections in an argument arrive in a child", "[connection]",
                   START_METHODS) {
    const NothingLeft check;
    const Watchdog watchdog(60);
    std::vector<mp::Connection> readers;
    Outer outer = make_outer(readers);
    const mp::Event event = outer.event;
    mp::BasicProcess<TestType> process(answer_all, std::move(outer));
    process.start();
    REQUIRE(answers(readers) == all_answers);
    process.join();
    REQUIRE(process.exitcode() == 0);
    REQUIRE(event.is_set());
}

TEMPLATE_TEST_CASE("Connection: a child hands its end on to a child of its own", "[connection]",
                   START_METHODS) {
    const NothingLeft check;
    const Watchdog watchdog(60);
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        mp::BasicProcess<TestType> process(answer_from_grandchild, std::move(b));
        process.start();
        REQUIRE(a.recv<std::string>() == "from the grandchild");
        REQUIRE_THROWS_AS(a.recv<int>(), mp::EOFError);
        process.join();
    }
}

// CPython's _TestPicklingConnections.
TEMPLATE_TEST_CASE("Connection: a child answers each request through a pipe of its own",
                   "[connection]", START_METHODS) {
    const NothingLeft check;
    const Watchdog watchdog(60);
    for (const bool duplex : {true, false}) {
        auto [read, write] = mp::Pipe(duplex);
        mp::BasicProcess<TestType> process(serve, std::move(read));
        process.start();
        for (int i = 0; i < 50; ++i) {
            auto [mine, theirs] = mp::Pipe(i % 2 == 0);
            write.send(Job{std::to_string(i), std::move(theirs)});
            auto answer = mine.recv<mp::Connection>();
            REQUIRE(answer.recv<std::string>() == std::to_string(i));
            REQUIRE_THROWS_AS(answer.recv<int>(), mp::EOFError);
        }
        // Under fork the child has a copy of the end that it waits for.
        write.close();
        if (TestType::inherits_memory) process.kill();
        process.join();
    }
}

TEMPLATE_TEST_CASE("Connection: processes that know only each other's parent are connected",
                   "[connection]", START_METHODS) {
    const NothingLeft check;
    const Watchdog watchdog(60);
    auto [control, child_control] = mp::Pipe();
    Child<TestType> child(connect_through, std::move(child_control));
    auto [a, b] = mp::Pipe();
    control.send(std::move(b));
    REQUIRE(a.recv<std::string>() == "connected");
    REQUIRE_THROWS_AS(a.recv<int>(), mp::EOFError);
    REQUIRE(child.join() == 0);
}

namespace {
int send_number(const mp::Connection& end, int number) {
    end.duplicate().send(number);
    return number;
}
}  // namespace

TEMPLATE_TEST_CASE("Connection: one in a pool's function reaches every worker", "[connection]",
                   START_METHODS) {
    const Watchdog watchdog(60);
    auto [reader, writer] = mp::Pipe(false);
    {
        mp::BasicPool<TestType> pool(2);
        pool.map(mp::partial(send_number, std::move(writer)), std::views::iota(0, 20), 1);
        int sum = 0;
        for (int i = 0; i < 20; ++i) sum += reader.recv<int>();
        REQUIRE(sum == 190);
    }
    REQUIRE_THROWS_AS(reader.recv<int>(), mp::EOFError);
}

TEMPLATE_TEST_CASE("Connection: connections go to a pool's tasks and come back as results",
                   "[connection]", START_METHODS) {
    const NothingLeft check;
    const Watchdog watchdog(120);
    mp::BasicPool<TestType> pool(2);
    auto [a, b] = mp::Pipe();
    pool.apply(send_text, b, "variable");
    REQUIRE(a.recv<std::string>() == "variable");
    pool.apply(send_text, std::move(b), "moved");
    REQUIRE(a.recv<std::string>() == "moved");
    REQUIRE_THROWS_AS(a.recv<int>(), mp::EOFError);
    REQUIRE(pool.apply(make_end, "result").template recv<std::string>() == "result");
    std::vector<mp::Connection> readers;
    std::vector<Job> jobs;
    for (int i = 0; i < 20; ++i) {
        auto [read, write] = mp::Pipe(i % 2 == 0);
        readers.push_back(std::move(read));
        jobs.push_back({std::to_string(i), std::move(write)});
    }
    pool.map(send_job, jobs, 3);
    jobs.clear();
    for (int i = 0; i < 20; ++i) {
        auto& reader = readers[static_cast<std::size_t>(i)];
        REQUIRE(reader.recv<std::string>() == std::to_string(i));
        REQUIRE_THROWS_AS(reader.recv<int>(), mp::EOFError);
    }
    auto ends = pool.map(make_end, std::vector<std::string>{"a", "b", "c"});
    REQUIRE(ends.at(2).template recv<std::string>() == "c");
    pool.close();
    pool.join();
}

TEST_CASE("Connection: a task that is tried again has its connection again", "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    auto [a, b] = mp::Pipe();
    {
        mp::Pool pool({.processes = 1, .retries = 1});
        const mp::Event died;
        pool.apply(die_or_answer, std::move(b), died);
        REQUIRE(a.recv<int>() == 1);
    }
    REQUIRE_THROWS_AS(a.recv<int>(), mp::EOFError);
}

TEST_CASE("Connection: an argument that no child takes is closed with the process",
          "[connection][spawn]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    auto [a, b] = mp::Pipe();
    { const mp::SpawnProcess never_started(send_text, std::move(b), "x"); }
    REQUIRE_THROWS_AS(a.recv<int>(), mp::EOFError);
    auto [c, d] = mp::Pipe();
    mp::SpawnProcess killed(hold, std::move(d));
    killed.start();
    killed.kill();  // most likely before it has read its message
    killed.join();
    REQUIRE_THROWS_AS(c.recv<int>(), mp::EOFError);
}

TEST_CASE("Connection: without descriptors left recv is EMFILE and the message stays",
          "[connection]") {
    const NothingLeft check;
    for (const bool carrier : {true, false}) {
        auto [a, b] = mp::Pipe(carrier);
        auto [c, d] = mp::Pipe();
        b.send(std::vector<std::string>(10, "before"));
        REQUIRE(a.recv<std::vector<std::string>>().size() == 10);
        std::vector<mp::Connection> two;
        two.push_back(d.duplicate());
        two.push_back(std::move(d));
        b.send(std::move(two));
        two.clear();
        {
            const support::FewDescriptors few(1);
            const auto receive = [end = &a] { (void)end->recv<std::vector<mp::Connection>>(); };
            REQUIRE(errno_of(receive) == EMFILE);
            REQUIRE(errno_of(receive) == EMFILE);
            REQUIRE(a.poll());
        }
        two = a.recv<std::vector<mp::Connection>>();
        two[0].send(1);
        two[1].send(2);
        REQUIRE(c.recv<int>() == 1);
        REQUIRE(c.recv<int>() == 2);
        two.clear();
        REQUIRE_THROWS_AS(c.recv<int>(), mp::EOFError);
    }
}

TEST_CASE("Connection: without descriptors left send is EMFILE and sends nothing", "[connection]") {
    const NothingLeft check;
    auto [a, b] = mp::Pipe();
    {
        const support::FewDescriptors few(0);
        REQUIRE(errno_of([&, from = &a, object = &b] { from->send(*object); }) == EMFILE);
        REQUIRE(errno_of([object = &b] { (void)object->duplicate(); }) == EMFILE);
    }
    a.send(1);
    REQUIRE(b.recv<int>() == 1);
    // Through a pipe none is needed here.
    auto [read, write] = mp::Pipe(false);
    {
        const support::FewDescriptors few(0);
        write.send(b);
    }
    read.recv<mp::Connection>().send(3);
    REQUIRE(a.recv<int>() == 3);
}

TEST_CASE("Connection: too many connections on their way is an error on both sides, no more",
          "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    const int status = Child<mp::start_method::fork>(send_too_many).join();
    if (status != 77) REQUIRE(status == 0);  // 77: privilege could not be given up
}

TEST_CASE("Connection: a message with handles that was left before a fork is the parent's alone",
          "[connection]") {
    const NothingLeft check;
    const Watchdog watchdog(60);
    auto [a, b] = mp::Pipe();
    b.send(mp::Event());
    REQUIRE_THROWS_AS(a.recv<int>(), mp::TypeError);
    Child<mp::start_method::fork> child([end = &a] {
        try {
            (void)end->recv<mp::Event>();
        } catch (const mp::ProcessError&) {
            mp::exit(3);
        }
    });
    REQUIRE(child.join() == 3);
    a.recv<mp::Event>().set();
}
