// A process that goes through a function one machine instruction at a time, with a note of which
// instructions change what processes share; and one that is killed where it reaches one of them.
// Start at step_through and run_to.
//
// Both do it by themselves: with the processor's trap flag set, each instruction ends in a SIGTRAP,
// whose handler makes the note; and the instruction to be killed at is replaced by a breakpoint,
// which is a SIGTRAP too. A step takes up to 50 microseconds on a virtual machine, so that one
// operation is stepped through once only, and not once for each of its instructions. Only x86-64
// has such a flag: the tests are skipped elsewhere. (On aarch64 a step ends every pair of ldxr and
// stxr in vain, and a lock that is taken by such a pair is never had.)
// SPDX-License-Identifier: MIT
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>

namespace stepkill {

/// A step that was taken: where the process was then, and whether it may have changed what
/// processes share.
struct Step {
    std::uint64_t place : 63;
    std::uint64_t changes : 1;
};
static_assert(sizeof(Step) == 8);

/// A moment of an operation: the one before some instruction.
struct Instant {
    std::uint64_t place;  // its address; 0: none, the operation comes to its end
    std::uint64_t round;  // from 1 on: the how manyth time that the operation comes there
    std::uint64_t step;   // the how manyth instruction of the operation it is
};

/// What the processes of a trial tell each other. In memory of its own, not in the heap under test.
struct Board {
    static constexpr std::uint64_t longest = 400'000;  // steps

    std::atomic<pid_t> victim;
    std::atomic<std::uint64_t> steps;       // taken so far, by one that takes them one by one
    std::atomic<std::uint64_t> hits;        // how often the breakpoint was reached
    std::atomic<bool> has_begun;            // whether the operation has
    std::atomic<bool> is_over;              // whether the victim is dead
    std::atomic<bool> is_collected;         // whether its parent has taken note of that
    std::atomic<std::uint32_t> bystanders;  // how many are there
    std::atomic<std::uint64_t> notes[4];    // for the trial's own purposes
    char remarks[4][400];                   // what the survivor and the bystanders found wrong
    Step trace[longest];                    // by the number of the step; 0 is not used
    std::atomic<int> sum;                   // over all trials, for the test's own purposes

    /// Makes it as new, but for the trace and the sum.
    void clear() { std::memset(static_cast<void*>(this), 0, offsetof(Board, trace)); }
};

inline Board& board() {
    static Board& shared = *static_cast<Board*>(
        ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    return shared;
}

/// Finds out which instructions write to memory that processes share: all of it is made read-only,
/// and a page is opened for the one instruction that faults there. System calls are taken for
/// changes, and find all pages open.
class WriteWatch {
  public:
    /// Looks which memory is shared, and watches it.
    void begin() {
        std::FILE* const maps = std::fopen("/proc/self/maps", "re");
        char line[512];
        while (maps != nullptr && std::fgets(line, sizeof line, maps) != nullptr) {
            Range range{};
            char mode[5] = {};
            const int found = std::sscanf(line, "%zx-%zx %4s", &range.begin, &range.end, mode);
            const auto here = reinterpret_cast<std::uintptr_t>(&board());
            const bool is_board = range.begin <= here && here < range.end;
            if (found == 3 && std::strcmp(mode, "rw-s") == 0 && !is_board && count_ < most) {
                ranges_[count_++] = range;
            }
        }
        if (maps != nullptr) std::fclose(maps);
        protect_all(PROT_READ);
    }
    [[nodiscard]] bool is_on() const noexcept { return count_ != 0; }

    /// An instruction has faulted. @returns false when it was not for this
    bool open_page(std::uintptr_t address) noexcept {
        for (std::size_t i = 0; i < count_; ++i) {
            if (address < ranges_[i].begin || address >= ranges_[i].end) continue;
            void* const page = reinterpret_cast<void*>(address & ~(page_size - 1));
            if (open_count_ == most) return false;
            open_[open_count_++] = page;
            return ::mprotect(page, page_size, PROT_READ | PROT_WRITE) == 0;
        }
        return false;
    }

    /// An instruction is done. @param next the address of the one that follows
    /// @returns whether it may have changed anything
    bool note_step(std::uint64_t next) noexcept {
        const bool changed = open_count_ != 0 || is_all_open_;
        while (open_count_ > 0) ::mprotect(open_[--open_count_], page_size, PROT_READ);
        if (is_all_open_) protect_all(PROT_READ);
        is_all_open_ = is_system_call(next);
        if (is_all_open_) protect_all(PROT_READ | PROT_WRITE);
        return changed;
    }

  private:
    static constexpr std::size_t most = 16;
    static constexpr std::uintptr_t page_size = 4096;
    struct Range {
        std::uintptr_t begin;
        std::uintptr_t end;
    };

    static bool is_system_call(std::uint64_t place) noexcept {
        const auto* const code = reinterpret_cast<const std::uint8_t*>(place);
        return code[0] == 0x0F && code[1] == 0x05;
    }
    void protect_all(int mode) noexcept {
        for (std::size_t i = 0; i < count_; ++i) {
            ::mprotect(reinterpret_cast<void*>(ranges_[i].begin), ranges_[i].end - ranges_[i].begin,
                       mode);
        }
    }

    Range ranges_[most] = {};
    std::size_t count_ = 0;
    void* open_[most] = {};
    std::size_t open_count_ = 0;
    bool is_all_open_ = false;
};
inline constinit WriteWatch write_watch;  // here, because signal handlers use it

/// An instruction that is replaced by a breakpoint.
class Breakpoint {
  public:
    /// @returns false when the code there cannot be changed
    bool set(const Instant& at) noexcept {
        code_ = reinterpret_cast<std::uint8_t*>(at.place);
        round_ = at.round;
        void* const page = reinterpret_cast<void*>(at.place & ~std::uintptr_t{4095});
        if (::mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) return false;
        original_ = *code_;
        arm();
        return true;
    }
    [[nodiscard]] bool is_set() const noexcept { return code_ != nullptr; }
    void arm() noexcept { *code_ = 0xCC; }  // int3
    void disarm() noexcept { *code_ = original_; }
    [[nodiscard]] std::uint64_t place() const noexcept {
        return reinterpret_cast<std::uint64_t>(code_);
    }
    [[nodiscard]] std::uint64_t round() const noexcept { return round_; }

  private:
    std::uint8_t* code_ = nullptr;
    std::uint64_t round_ = 0;
    std::uint8_t original_ = 0;
};
inline constinit Breakpoint breakpoint;

#if defined(__x86_64__)

constexpr greg_t trap_flag = 0x100;

inline void die() {
    ::kill(::getpid(), SIGKILL);
    for (;;) ::pause();
}

/// After each instruction of one that records.
inline void on_step(int, siginfo_t*, void* context) {
    Board& shared = board();
    const auto place = static_cast<std::uint64_t>(
        static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
    const std::uint64_t step = shared.steps.load(std::memory_order_relaxed) + 1;
    shared.trace[step] = {place & ~(1ull << 63), write_watch.note_step(place)};
    shared.steps.store(step, std::memory_order_relaxed);
    if (step + 1 == Board::longest) die();
}

/// Where a breakpoint is reached, and after the instruction in its place.
inline void on_breakpoint(int, siginfo_t* info, void* context) {
    greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    if (info->si_code == TRAP_TRACE) {
        breakpoint.arm();
        registers[REG_EFL] &= ~trap_flag;
        return;
    }
    breakpoint.disarm();  // first: it may be in a function that is used here
    board().hits.fetch_add(1, std::memory_order_relaxed);
    if (board().hits.load(std::memory_order_relaxed) == breakpoint.round()) die();
    registers[REG_RIP] = static_cast<greg_t>(breakpoint.place());
    registers[REG_EFL] |= trap_flag;
}

inline void on_fault(int number, siginfo_t* info, void*) {
    if (write_watch.open_page(reinterpret_cast<std::uintptr_t>(info->si_addr))) return;
    ::signal(number, SIG_DFL);  // a real one: the instruction faults again
}

inline void handle(int number, void (*handler)(int, siginfo_t*, void*)) {
    struct sigaction action {};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO;
    ::sigaction(number, &action, nullptr);
}

/// Where recorded steps and instants meet: what comes before differs.
[[gnu::noinline]] inline void call(const std::function<void()>& function) { function(); }

/// Calls a function step by step, and records the steps on the board.
inline void step_through(const std::function<void()>& function) {
    handle(SIGTRAP, on_step);
    handle(SIGSEGV, on_fault);
    write_watch.begin();
    board().has_begun = true;
    asm volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
    call(function);
    asm volatile("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq" ::: "memory", "cc");
}

/// Calls a function, in a process that is killed at that instant.
inline void run_to(const Instant& instant, const std::function<void()>& function) {
    handle(SIGTRAP, on_breakpoint);
    board().has_begun = true;
    if (instant.place != 0) (void)breakpoint.set(instant);
    call(function);
}

/// Whether this machine steps: some emulators, and valgrind, do not know the trap flag.
inline bool can_step() {
    board().clear();
    const pid_t child = ::fork();
    if (child == 0) {
        step_through([] {
            for (int i = 0; i < 100; ++i) std::atomic_signal_fence(std::memory_order_seq_cst);
        });
        ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && board().steps > 100;
}

#else

inline void step_through(const std::function<void()>&) {}
inline void run_to(const Instant&, const std::function<void()>&) {}
inline bool can_step() { return false; }

#endif

}  // namespace stepkill
