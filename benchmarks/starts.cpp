// What starting a process costs, beside the raw system calls that it cannot do without, and beside
// a thread. The program itself is started anew with the argument "nothing" as the least that a
// spawned C++ program can do.
#include <multiprocessing.hpp>

#include <spawn.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <future>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

extern "C" char** environ;

#include "benchmarks/measure.hpp"

namespace mp = multiprocessing;
using measure::ours;

namespace {

void nothing() {}

template <class Work>
measure::Contender contender(std::string name, Work work) {
    return {std::move(name), [work] { return measure::nanoseconds_for(1, work); }};
}

void raw_fork() {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(0);
    ::waitpid(pid, nullptr, 0);
}

void raw_spawn(const char* program) {
    char* const arguments[] = {const_cast<char*>(program), const_cast<char*>("nothing"), nullptr};
    pid_t pid = 0;
    if (::posix_spawn(&pid, program, nullptr, nullptr, arguments, environ) != 0) std::abort();
    ::waitpid(pid, nullptr, 0);
}

template <class Method>
void start_and_join() {
    mp::BasicProcess<Method> process(nothing);
    process.start();
    process.join();
}

using mp::start_method::fork;  // and not the system call
using mp::start_method::forkserver;
using mp::start_method::spawn;

void bench_starts(const measure::Run& run) {
    const auto forking = contender("fork, _exit, waitpid", raw_fork);
    run.take_turns(
        "start/fork", 400,
        {contender(ours, start_and_join<fork>), forking,
         contender("std::thread", [] { std::thread(nothing).join(); }),
         contender("std::async", [] { std::async(std::launch::async, nothing).get(); })});
    run.take_turns("start/forkserver", 400, {contender(ours, start_and_join<forkserver>), forking});
    run.take_turns(
        "start/spawn", 200,
        {contender(ours, start_and_join<spawn>),
         contender("posix_spawn of true", [] { raw_spawn("/bin/true"); }),
         contender("posix_spawn of a C++ program", [] { raw_spawn("/proc/self/exe"); })});
    run.take_turns(
        "start/pool", 200,
        {contender(ours, [] { mp::Pool pool(2); }), contender("two of fork, _exit, waitpid", [] {
             raw_fork();
             raw_fork();
         })});
}

/// Memory of this process that it has written, in MiB.
class Ballast {
  public:
    explicit Ballast(std::size_t mebibytes) : size_(mebibytes << 20) {
        bytes_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (bytes_ == MAP_FAILED) std::abort();
        // Of small pages: the size of the page table is what a fork copies.
        ::madvise(bytes_, size_, MADV_NOHUGEPAGE);
        std::memset(bytes_, 1, size_);
    }
    Ballast(const Ballast&) = delete;
    Ballast& operator=(const Ballast&) = delete;
    ~Ballast() { ::munmap(bytes_, size_); }

  private:
    std::size_t size_;
    void* bytes_;
};

bool has_free(std::size_t mebibytes) {
    struct sysinfo info {};
    return ::sysinfo(&info) == 0 && (info.freeram >> 20) * info.mem_unit > 2 * mebibytes;
}

void bench_by_memory(const measure::Run& run) {
    for (const std::size_t mebibytes : {1, 16, 256, 1024, 4096}) {
        if (!has_free(mebibytes) || (run.is_quick() && mebibytes > 1024)) break;
        const Ballast ballast(mebibytes);
        run.take_turns_at(static_cast<double>(mebibytes), "start/memory", 40,
                          {contender("fork", start_and_join<fork>),
                           contender("forkserver", start_and_join<forkserver>),
                           contender("spawn", start_and_join<spawn>),
                           contender("fork, _exit, waitpid", raw_fork)});
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1 && std::string_view(argv[1]) == "nothing") return 0;
    mp::freeze_support();
    const measure::Run run(argc, argv);
    bench_starts(run);
    bench_by_memory(run);
}
