// What the library does on a host that lacks something (/proc, /dev/null, an environment), or does
// something with its processes (collects them, ends them by a signal to all): the same as on any
// other, or it says what it needs. Each scene is a program of its own, with a family of its own.
// CTEST: RUN_SERIAL ON
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>
#include <multiprocessing/detail/pidfd.hpp>
#include <multiprocessing/start_method/fork_server/state.hpp>

#include <link.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/catch.hpp"
#include "tests/nothing_left.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using support::eventually;
using support::in_heap;
using support::InHeap;
using support::NothingLeft;

#define START_METHODS mp::start_method::fork, mp::start_method::spawn, mp::start_method::forkserver
#define RERUN_METHODS mp::start_method::spawn, mp::start_method::forkserver

namespace {

// --- what the children do ---

void nothing() {}
void sleep_long() { ::sleep(600); }
void crash() { ::raise(SIGSEGV); }
void exit_with(int status) { mp::exit(status); }
int square(int x) { return x * x; }
void put_and_exit(mp::Queue<int> queue) {
    queue.put(7);
    mp::exit(std::getchar() == EOF ? 3 : 4);
}
void wait_for_signal(mp::Semaphore ready) {
    std::signal(SIGTERM, SIG_DFL);  // what a forked one has is its parent's
    ready.release();
    sleep_long();
}
void take_and_crash(mp::Lock lock, mp::Event held) {
    lock.acquire();
    held.set();
    ::raise(SIGKILL);
}
void take(mp::Lock lock) {
    try {
        mp::exit(lock.acquire(true, 60.0) ? 2 : 3);
    } catch (const mp::AbandonedError&) {
    }
}
void exit_with_loader_option() {
    char text[4096];
    const std::size_t size = mp::detail::read_small_file("/proc/self/cmdline", text, sizeof text);
    const std::string_view words(text, size);
    mp::exit(words.find("--library-path") != words.npos ? 0 : 1);
}
template <class Method>
void start_daemon_and_wait(mp::Queue<int> pids) {
    mp::BasicProcess<Method> daemon({.daemon = true}, sleep_long);
    daemon.start();
    pids.put(*daemon.pid());
    sleep_long();
}

// --- the scenes: 0 says that all went well ---

template <class Method>
int work() {
    mp::Queue<int> queue;
    mp::BasicProcess<Method> process(put_and_exit, queue);
    process.start();
    const int got = queue.get(true, 60.0);
    process.join();
    mp::BasicPool<Method> pool({.processes = 2});
    const std::vector<int> squares = pool.map(square, {1, 2, 3});
    return got == 7 && process.exitcode() == 3 && squares == std::vector{1, 4, 9} ? 0 : 1;
}

template <class Method>
int work_without_environment() {
    ::clearenv();
    return work<Method>();
}

template <class Method>
int look_for_option() {
    mp::BasicProcess<Method> process(exit_with_loader_option);
    process.start();
    process.join();
    return *process.exitcode();
}

template <class Method>
int kill_parent_of_daemon() {
    mp::Queue<int> pids;
    mp::BasicProcess<Method> parent(start_daemon_and_wait<Method>, pids);
    parent.start();
    const mp::detail::Descriptor daemon = mp::detail::open_pidfd(pids.get(true, 60.0));
    parent.kill();
    parent.join();
    return mp::detail::poll_readable(daemon.get(), mp::detail::Deadline(mp::Timeout(60))) ? 0 : 1;
}

template <class Method>
int start_from_elsewhere() {
    if (::chdir("/") != 0) return 2;
    try {
        mp::BasicProcess<Method> process(nothing);
        process.start();
        return 3;
    } catch (const std::system_error& error) {
        const std::string what = error.what();
        const bool says_it =
            what.find("posix_spawn") != what.npos && what.find("mount /proc") != what.npos;
        return says_it && error.code().value() == ENOENT ? 0 : 4;
    }
}

/// One process is killed with a lock, and nobody collects it; the other one wants the lock.
template <class Method>
int take_lock_of_zombie() {
    mp::Lock lock;
    mp::Event held;
    mp::BasicProcess<Method> first(take_and_crash, lock, held);
    first.start();
    if (!held.wait(60.0)) return 2;
    mp::BasicProcess<Method> second(take, lock);
    second.start();
    second.join();
    first.join();
    return *second.exitcode();
}

/// @returns the pid of the fork server; 0 when there is none
pid_t server_pid() {
    if (mp::detail::heap().fork_server().load() == 0) return 0;
    const auto id = mp::detail::Family::unpack(mp::detail::fork_server_state().server.load());
    return mp::detail::ProcessRecord::pid_of(mp::detail::heap().family()[id].state.load());
}

/// Ends three children by SIGTERM, `send(children)`, and looks at what they say of it.
template <class Method, class Send>
int end_children_by_signal(Send send) {
    constexpr int count = 3;
    std::signal(SIGTERM, [](int) {});
    mp::Semaphore ready(0);
    std::vector<mp::BasicProcess<Method>> children;
    for (int i = 0; i < count; ++i) children.emplace_back(wait_for_signal, ready);
    for (auto& child : children) child.start();
    for (int i = 0; i < count; ++i) {
        if (!ready.acquire(true, 60.0)) return 2;
    }
    send(children);
    for (auto& child : children) {
        child.join();
        if (child.exitcode() != -SIGTERM) return 3;
    }
    return 0;
}

template <class Method>
int end_group() {
    ::setpgid(0, 0);
    return end_children_by_signal<Method>([](auto&) { ::kill(0, SIGTERM); });
}

template <class Method>
int end_everyone() {
    return end_children_by_signal<Method>([](auto& children) {
        if (const pid_t server = server_pid()) ::kill(server, SIGTERM);
        for (auto& child : children) ::kill(*child.pid(), SIGTERM);
    });
}

/// @returns whether `call()` throws a std::system_error that names the call
template <class Call>
bool names(const char* name, Call call) {
    try {
        call();
    } catch (const std::system_error& error) {
        const bool does = std::string(error.what()).find(name) != std::string::npos;
        if (!does) std::fprintf(stderr, "not %s: %s\n", name, error.what());
        return does && error.code().value() == EAGAIN;
    }
    return false;
}

int start_what_cannot() {
    // As another user: root has no such limit.
    if (::getuid() == 0 && ::setuid(54321) != 0) return 77;
    const rlimit none{1, 1};
    ::setrlimit(RLIMIT_NPROC, &none);
    const bool threads = names("pthread_create", [] { mp::ThreadPool pool(2); }) &&
                         names("pthread_create", [] { mp::dummy::Process(nothing).start(); });
    const bool processes = names("fork", [] { mp::ForkProcess(nothing).start(); }) &&
                           names("posix_spawn", [] { mp::SpawnProcess(nothing).start(); });
    return threads && processes ? 0 : 1;
}

int use_threads() {
    mp::ThreadPool pool(2);
    const std::vector<int> squares = pool.map(square, {1, 2, 3});
    std::vector<int> streamed;
    for (const int x : pool.imap(square, std::vector{1, 2, 3})) streamed.push_back(x);
    mp::Queue<int> queue;
    mp::Lock lock;
    mp::Value<int> value(0);
    mp::dummy::Process thread([&] {
        const std::lock_guard guard(lock);
        value.value += 1;
        queue.put(7);
    });
    thread.start();
    const bool got = queue.get(true, 60.0) == 7;
    thread.join();
    auto [reader, writer] = mp::Pipe();
    writer.send(std::string("text"));
    return got && reader.recv<std::string>() == "text" && squares == streamed ? 0 : 1;
}

using Scene = int (*)();
template <class Method>
void add_scenes(std::map<std::string, Scene>& scenes) {
    const std::string method(Method::name);
    scenes["work " + method] = work<Method>;
    scenes["work_without_environment " + method] = work_without_environment<Method>;
    scenes["look_for_option " + method] = look_for_option<Method>;
    scenes["kill_parent_of_daemon " + method] = kill_parent_of_daemon<Method>;
    scenes["take_lock_of_zombie " + method] = take_lock_of_zombie<Method>;
    scenes["start_from_elsewhere " + method] = start_from_elsewhere<Method>;
    scenes["end_group " + method] = end_group<Method>;
    scenes["end_everyone " + method] = end_everyone<Method>;
}

/// Plays a scene, where this program was started for one, before Catch2 has a say.
[[maybe_unused]] const bool scene_was_played = [] {
    const char* const wanted = std::getenv("HOSTS_TEST_SCENE");
    if (wanted == nullptr) return false;
    const std::string name = wanted;
    ::unsetenv("HOSTS_TEST_SCENE");
    mp::freeze_support();
    const support::Watchdog watchdog(120);
    std::map<std::string, Scene> scenes{{"start_what_cannot", start_what_cannot},
                                        {"use_threads", use_threads}};
    add_scenes<mp::start_method::fork>(scenes);
    add_scenes<mp::start_method::spawn>(scenes);
    add_scenes<mp::start_method::forkserver>(scenes);
    try {
        std::exit(scenes.at(name)());
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
        std::exit(1);
    }
}();

// --- the hosts ---

const std::string& program() {
    static const std::string path = std::filesystem::read_symlink("/proc/self/exe");
    return path;
}

/// Runs a scene in a program of its own, started as `arguments` say.
/// @param prepare makes this process's world what the program is to find; false: it cannot
/// @returns its status; 77 where the host could not be made, or the program could not
template <class Prepare>
int play(const std::string& scene, std::vector<std::string> arguments, Prepare prepare) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        if (!prepare()) ::_exit(77);
        ::setenv("HOSTS_TEST_SCENE", scene.c_str(), 1);
        std::vector<char*> pointers;
        for (std::string& argument : arguments) pointers.push_back(argument.data());
        pointers.push_back(nullptr);
        ::execvp(pointers[0], pointers.data());
        ::_exit(errno == ENOENT ? 77 : 127);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
int play(const std::string& scene) {
    return play(scene, {program()}, [] { return true; });
}

/// Hides a folder from this process and those that it starts.
bool hide(const char* folder) {
    const int flags = CLONE_NEWNS | (::geteuid() == 0 ? 0 : CLONE_NEWUSER);
    return ::unshare(flags) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, "") == 0 &&
           ::mount("none", folder, "tmpfs", 0, "") == 0;
}

/// A sanitizer's runtime reads /proc itself.
bool cannot_hide_proc() {
    if (support::sanitized) WARN("skipped: a sanitizer needs /proc");
    return support::sanitized;
}

#define REQUIRE_PLAYED(status)                                       \
    do {                                                             \
        const int played = status;                                   \
        if (played == 77) WARN("skipped: this host cannot be made"); \
        if (played != 77) REQUIRE(played == 0);                      \
    } while (false)

template <class Method>
std::string with(const char* scene) {
    return std::string(scene) + " " + std::string(Method::name);
}

}  // namespace

TEMPLATE_TEST_CASE("Without /proc processes and pools work", "[hosts]", START_METHODS) {
    if (cannot_hide_proc()) return;
    const NothingLeft nothing_left;
    REQUIRE_PLAYED(play(with<TestType>("work"), {program()}, [] { return hide("/proc"); }));
}

TEMPLATE_TEST_CASE("Without /proc a daemon ends when its parent is killed", "[hosts]",
                   START_METHODS) {
    if (cannot_hide_proc()) return;
    const NothingLeft nothing_left;
    REQUIRE_PLAYED(
        play(with<TestType>("kill_parent_of_daemon"), {program()}, [] { return hide("/proc"); }));
}

TEMPLATE_TEST_CASE("Without /proc a lock is had from one that was killed and not collected",
                   "[hosts]", START_METHODS) {
    if (cannot_hide_proc()) return;
    const NothingLeft nothing_left;
    REQUIRE_PLAYED(
        play(with<TestType>("take_lock_of_zombie"), {program()}, [] { return hide("/proc"); }));
}

TEMPLATE_TEST_CASE("Without /proc a program that cannot be found again says what it needs",
                   "[hosts]", RERUN_METHODS) {
    if (cannot_hide_proc()) return;
    const NothingLeft nothing_left;
    const std::filesystem::path path = program();
    REQUIRE_PLAYED(play(with<TestType>("start_from_elsewhere"), {"./" + path.filename().string()},
                        [&] { return ::chdir(path.parent_path().c_str()) == 0 && hide("/proc"); }));
}

TEMPLATE_TEST_CASE("Without /dev/null processes and pools work, and children read nothing",
                   "[hosts]", START_METHODS) {
    const NothingLeft nothing_left;
    REQUIRE_PLAYED(play(with<TestType>("work"), {program()}, [] { return hide("/dev"); }));
}

TEMPLATE_TEST_CASE("A program that has cleared its environment starts children", "[hosts]",
                   START_METHODS) {
    const NothingLeft nothing_left;
    REQUIRE(play(with<TestType>("work_without_environment")) == 0);
}

TEMPLATE_TEST_CASE("A program that was started by the loader's name is started again", "[hosts]",
                   START_METHODS) {
    if (support::sanitized) return;  // their runtimes look for the program in /proc/self/exe
    const NothingLeft nothing_left;
    std::string loader;
    mp::detail::for_each_image([&](const dl_phdr_info& info) {
        for (std::size_t i = 0; i < info.dlpi_phnum; ++i) {
            const ElfW(Phdr)& part = info.dlpi_phdr[i];
            if (part.p_type != PT_INTERP) continue;
            loader = reinterpret_cast<const char*>(info.dlpi_addr + part.p_vaddr);
        }
        return true;
    });
    REQUIRE_FALSE(loader.empty());
    const auto from_its_folder = [] {
        return ::chdir(std::filesystem::path(program()).parent_path().c_str()) == 0;
    };
    const std::string name = "./" + std::filesystem::path(program()).filename().string();
    CHECK(play(with<TestType>("work"), {loader, name}, from_its_folder) == 0);
    CHECK(play(with<TestType>("look_for_option"), {loader, "--library-path", "/nowhere", program()},
               [] { return true; }) == 0);
}

TEMPLATE_TEST_CASE("Children that a signal to all of the group ends say so", "[hosts]",
                   START_METHODS) {
    const NothingLeft nothing_left;
    REQUIRE(play(with<TestType>("end_group")) == 0);
    REQUIRE(play(with<TestType>("end_everyone")) == 0);
}

TEST_CASE("What cannot be started says which call failed", "[hosts]") {
    if (support::sanitized) return;  // their runtimes need threads
    const NothingLeft nothing_left;
    REQUIRE_PLAYED(play("start_what_cannot"));
}

TEST_CASE("Valgrind has nothing to say about threads and dummy", "[hosts]") {
    if (support::sanitized) return;  // two that replace malloc
    const NothingLeft nothing_left;
    // Valgrind 3.19 gives up where it finds debug information of a newer compiler.
    const std::string stripped = program() + "_stripped";
    REQUIRE(std::system(("strip -g -o '" + stripped + "' '" + program() + "'").c_str()) == 0);
    const int status = play(
        "use_threads", {"valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full", stripped},
        [] { return true; });
    std::filesystem::remove(stripped);
    REQUIRE_PLAYED(status);
}

namespace {

void collect_all(int) {
    const int error = errno;
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    errno = error;
}

/// What this program does about SIGCHLD while the object lives.
class ChildSignal {
  public:
    explicit ChildSignal(void (*handler)(int)) : before_(std::signal(SIGCHLD, handler)) {}
    ChildSignal(const ChildSignal&) = delete;
    ChildSignal& operator=(const ChildSignal&) = delete;
    ~ChildSignal() { std::signal(SIGCHLD, before_); }

  private:
    void (*before_)(int);
};

/// Whether the kernel tells how a process ended that was collected: since Linux 6.15.
bool kernel_remembers() {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(5);
    const mp::detail::Descriptor pidfd = mp::detail::open_pidfd(pid);
    ::waitpid(pid, nullptr, 0);
    return mp::detail::exitcode_of_collected(pidfd.get()) == 5;
}

template <class Method>
int exitcode_of(auto f, auto... args) {
    mp::BasicProcess<Method> process(f, args...);
    process.start();
    REQUIRE(process.join(60));
    return process.exitcode().value();
}

}  // namespace

TEMPLATE_TEST_CASE("How a child ended is known where the program collects all children, or ignores "
                   "their ends",
                   "[hosts]", START_METHODS) {
    const support::Watchdog watchdog(240);
    const NothingLeft nothing_left;
    const bool is_exact =
        kernel_remembers() || std::is_same_v<TestType, mp::start_method::forkserver>;
    for (const auto handler : {&collect_all, SIG_IGN}) {
        const ChildSignal signal(handler);
        for (int i = 0; i < (support::sanitized ? 5 : 50); ++i) {
            REQUIRE(exitcode_of<TestType>(exit_with, 3) == 3);
            const int code = exitcode_of<TestType>(crash);
            REQUIRE((code == -SIGSEGV || (code == 255 && !is_exact)));
        }
    }
}
