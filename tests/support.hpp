// What the tests share: the check that a case leaves nothing behind, a watchdog, shared memory for
// children to report through, and kills at random moments.
// SPDX-License-Identifier: MIT
#pragma once

#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <multiprocessing/heap.hpp>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <type_traits>

namespace support {

namespace mp_detail = multiprocessing::detail;

/// The names in a folder.
inline std::set<std::string> names_in(const char* folder) {
    std::set<std::string> names;
    DIR* const directory = ::opendir(folder);
    if (directory == nullptr) return names;
    const int own = ::dirfd(directory);
    while (const dirent* entry = ::readdir(directory)) {
        if (entry->d_name != std::to_string(own)) names.insert(entry->d_name);
    }
    ::closedir(directory);
    return names;
}

/// The descriptors that this process has open.
inline std::set<std::string> descriptors() { return names_in("/proc/self/fd"); }

/// How many processes run this program, zombies apart; this one is of them, and the fork server.
inline int processes_of_this_program() {
    const auto program_of = [](const std::string& process) {
        std::string path(4096, '\0');
        const ssize_t size = ::readlink(("/proc/" + process + "/exe").c_str(), path.data(), 4096);
        path.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
        return path;
    };
    const std::string own = program_of("self");
    int count = 0;
    for (const std::string& name : names_in("/proc")) {
        if (name.find_first_not_of("0123456789") == std::string::npos)
            count += program_of(name) == own;
    }
    return count;
}

/// How many mappings this process has.
inline std::size_t mapping_count() {
    std::size_t count = 0;
    if (FILE* const maps = std::fopen("/proc/self/maps", "re")) {
        for (int c = std::fgetc(maps); c != EOF; c = std::fgetc(maps)) count += c == '\n';
        std::fclose(maps);
    }
    return count;
}

/// How many bytes of the mapping of `place` this process has in huge pages, private or shared.
inline std::size_t huge_bytes_at(const void* place) {
    const auto address = reinterpret_cast<std::uintptr_t>(place);
    std::ifstream maps("/proc/self/smaps");
    std::size_t bytes = 0;
    bool is_here = false;
    for (std::string line; std::getline(maps, line);) {
        unsigned long begin = 0;
        unsigned long end = 0;
        unsigned long kibibytes = 0;
        if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
            is_here = begin <= address && address < end;
        } else if (is_here &&
                   (std::sscanf(line.c_str(), "AnonHugePages: %lu kB", &kibibytes) == 1 ||
                    std::sscanf(line.c_str(), "ShmemPmdMapped: %lu kB", &kibibytes) == 1)) {
            bytes += std::size_t{kibibytes} << 10;
        }
    }
    return bytes;
}

/// Whether this process has any child, running or not collected.
inline bool has_children() {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/// An object of trivial type in the family's heap, as children inherit it, or find it by its
/// offset.
template <class T>
class InHeap {
    static_assert(std::is_trivially_destructible_v<T>);

  public:
    InHeap() : object_(new(mp_detail::allocate_zeroed(sizeof(T))) T{}) {}
    InHeap(const InHeap&) = delete;
    InHeap& operator=(const InHeap&) = delete;
    ~InHeap() { mp_detail::deallocate(object_); }

    T& operator*() const noexcept { return *object_; }
    T* operator->() const noexcept { return object_; }
    std::uint64_t offset() const { return mp_detail::heap().offset_of(object_); }

  private:
    T* object_;
};

/// The object that an InHeap of another process stands for.
template <class T>
T& in_heap(std::uint64_t offset) {
    return *mp_detail::heap().at<T>(offset);
}

/// Returns what is in a file; nothing when it cannot be read.
inline std::string contents_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// Returns how much memory of this process is in use.
inline std::size_t resident_bytes() {
    std::istringstream pages(contents_of("/proc/self/statm"));
    std::size_t all = 0;
    std::size_t resident = 0;
    pages >> all >> resident;
    return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// Waits, at most `seconds`, until `condition()` holds. @returns whether it does
template <class Condition>
bool eventually(Condition condition, double seconds = 20) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        ::usleep(500);
    }
    return true;
}

/// Returns whether `call()` throws an E. For threads: Catch2 takes assertions from one at a time.
template <class E, class Call>
bool throws(Call call) {
    try {
        call();
    } catch (const E&) {
        return true;
    }
    return false;
}

/// Random numbers that are the same in every run.
class Random {
  public:
    explicit Random(unsigned seed) : engine_(seed) {}
    unsigned operator()() { return static_cast<unsigned>(engine_()); }

  private:
    std::mt19937 engine_;
};

/// Kills this process, and so fails the test, when it lives for more than `seconds`.
class Watchdog {
  public:
    explicit Watchdog(unsigned seconds) { ::alarm(seconds); }
    ~Watchdog() { ::alarm(0); }
};

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif
#else
constexpr bool sanitized = false;
#endif

}  // namespace support
