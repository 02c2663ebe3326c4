// detail/mapped_region.hpp: sizes, errors, second mappings, and what locked memory costs.
// SPDX-License-Identifier: MIT
#include <multiprocessing/detail/mapped_region.hpp>

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "tests/catch.hpp"
#include "tests/support.hpp"

using namespace multiprocessing::detail;

namespace {

static_assert(std::is_nothrow_move_constructible_v<mapped_region>);
static_assert(std::is_nothrow_move_assignable_v<mapped_region>);
static_assert(!std::is_copy_constructible_v<mapped_region>);

constexpr std::size_t mebibyte = std::size_t{1} << 20;

Descriptor make_file(std::size_t size) {
    Descriptor file(checked(::memfd_create("test", MFD_CLOEXEC), "memfd_create"));
    checked(::ftruncate(file.get(), static_cast<off_t>(size)), "ftruncate");
    return file;
}

/// The errno and the text of the std::system_error that `call` throws.
template <class Call>
std::pair<int, std::string> error_of(Call call) {
    try {
        call();
    } catch (const std::system_error& error) {
        return {error.code().value(), error.what()};
    }
    return {0, "no error"};
}
std::pair<int, std::string> error_as(int error, const char* call) {
    return {error, call + std::string(": ") + std::strerror(error)};
}

/// A line of /proc/self/status, in bytes.
std::size_t status_of_this_process(const char* name) {
    char text[4096];
    text[read_small_file("/proc/self/status", text, sizeof text - 1)] = '\0';
    const char* line = std::strstr(text, name);
    return line ? std::strtoull(line + std::strlen(name), nullptr, 10) * 1024 : SIZE_MAX;
}

/// Runs `body` in a child. @returns its exit status, or the negative signal
template <class Body>
int in_child(Body body) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        int status = 99;
        try {
            status = body();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "in the child: %s\n", error.what());
        }
        ::_exit(status);
    }
    int status = 0;
    retry_on_eintr([&] { return ::waitpid(pid, &status, 0); });
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// Unmaps the family's heap in a child that ends without it: MCL_CURRENT would fill all of it.
void unmap_heap() {
    const Segment& heap_memory = heap().segment();
    checked(::munmap(heap_memory.base(), heap_memory.size()), "munmap");
    if (status_of_this_process("VmSize:") > 4096 * mebibyte) {
        throw std::runtime_error("too much is mapped to lock it");
    }
}

// A status for each thing that can be wrong; 0 for nothing.
int map_holes_in_locked_memory() {
    constexpr std::size_t size = 512 * mebibyte;
    constexpr std::size_t most = 64 * mebibyte;
    const Descriptor file = make_file(size);
    const mapped_region fresh = map_sparse_file(file.get(), size);
    if (fresh.get_size() != size) return 1;
    if (status_of_this_process("RssShmem:") >= most) return 2;
    bytes_of(fresh).back() = std::byte{7};
    bytes_of(fresh)[8 * mebibyte] = std::byte{8};
    const mapped_region existing = map_sparse_file(file.get(), size);
    if (bytes_of(existing).back() != std::byte{7}) return 3;
    if (bytes_of(existing)[8 * mebibyte] != std::byte{8}) return 4;
    if (status_of_this_process("RssShmem:") >= most) return 5;
    // What the process maps itself is locked as it was.
    const std::size_t locked = status_of_this_process("VmLck:");
    if (locked >= most) return 6;
    void* own =
        ::mmap(nullptr, mebibyte, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (own == MAP_FAILED) return 7;
    if (status_of_this_process("VmLck:") < locked + mebibyte) return 8;
    unsigned char is_resident[mebibyte / 4096] = {};
    ::mincore(own, mebibyte, is_resident);
    return (is_resident[0] & is_resident[mebibyte / 4096 - 1] & 1) != 0 ? 0 : 9;
}

}  // namespace

TEST_CASE("map_file maps exactly so many bytes, which are the file's", "[detail]") {
    const std::size_t mappings = support::mapping_count();
    for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, std::size_t{5000}}) {
        Descriptor file = make_file(size);
        mapped_region one = map_file(file.get(), size);
        const mapped_region two = map_sparse_file(file.get(), size);
        file.reset();
        REQUIRE(bytes_of(one).size() == size);
        REQUIRE(bytes_of(two).size() == size);
        REQUIRE(bytes_of(one).back() == std::byte{});
        bytes_of(one).back() = std::byte{42};
        REQUIRE(bytes_of(two).back() == std::byte{42});

        mapped_region moved = std::move(one);
        REQUIRE(bytes_of(one).data() == nullptr);
        REQUIRE(bytes_of(one).empty());
        REQUIRE(bytes_of(moved).back() == std::byte{42});
        moved = mapped_region();
        REQUIRE(bytes_of(moved).empty());
        REQUIRE(bytes_of(two).back() == std::byte{42});
    }
    REQUIRE(support::mapping_count() == mappings);
}

TEST_CASE("map_again maps the same memory, and more of it, without a descriptor", "[detail]") {
    mapped_region first = map_file(make_file(3 * mebibyte).get(), 5000);
    const mapped_region again = map_again(first, 3 * mebibyte);
    REQUIRE(bytes_of(again).data() != bytes_of(first).data());
    REQUIRE(bytes_of(again).size() == 3 * mebibyte);
    bytes_of(first)[4999] = std::byte{1};
    first = mapped_region();
    REQUIRE(bytes_of(again)[4999] == std::byte{1});
    bytes_of(again).back() = std::byte{2};
    REQUIRE(bytes_of(map_again(again, 3 * mebibyte)).back() == std::byte{2});
}

TEST_CASE("An error of a mapping is a std::system_error with errno and the call", "[detail]") {
    const Descriptor file = make_file(4096);
    const PipeEnds pipe = make_pipe();
    for (const auto map : {+[](int fd, std::size_t size) { return map_file(fd, size); },
                           +[](int fd, std::size_t size) { return map_sparse_file(fd, size); }}) {
        REQUIRE(error_of([&] { map(-1, 4096); }).first == EBADF);
        REQUIRE(error_of([&] { map(file.get(), 0); }) == error_as(EINVAL, "mmap"));
        REQUIRE(error_of([&] { map(pipe.read.get(), 4096); }) == error_as(EACCES, "mmap"));
        REQUIRE(error_of([&] { map(pipe.write.get(), 4096); }).first == EACCES);
        REQUIRE(error_of([&] { map(file.get(), SIZE_MAX / 2); }) == error_as(ENOMEM, "mmap"));
    }
    const mapped_region region = map_file(file.get(), 4096);
    REQUIRE(error_of([&] { map_again(region, SIZE_MAX / 2); }).second.starts_with("mremap: "));
    REQUIRE(error_of([&] { map_again(mapped_region(), 4096); }).second.starts_with("mremap: "));
}

TEST_CASE("A file of holes takes no memory where memory is locked", "[detail]") {
    if (support::sanitized) return;  // their mlockall does nothing
    const int status = in_child([] {
        unmap_heap();
        if (::mlockall(MCL_CURRENT | MCL_FUTURE) == -1) return 77;
        return map_holes_in_locked_memory();
    });
    if (status == 77) WARN("no right to lock memory");
    CAPTURE(status);
    REQUIRE((status == 0 || status == 77));
}

TEST_CASE("A file of holes is no part of what a user may lock", "[detail]") {
    if (support::sanitized || ::geteuid() != 0) return;
    const int status = in_child([] {
        rlimit limit{};
        checked(::getrlimit(RLIMIT_MEMLOCK, &limit), "getrlimit");
        limit.rlim_cur = limit.rlim_max = std::min<rlim_t>(limit.rlim_max, 64 * mebibyte);
        checked(::setrlimit(RLIMIT_MEMLOCK, &limit), "setrlimit");
        checked(::setuid(65534), "setuid");
        if (::mlockall(MCL_FUTURE) == -1) return 77;
        const Descriptor file = make_file(512 * mebibyte);
        if (error_of([&] { map_file(file.get(), 512 * mebibyte); }).first != EAGAIN) return 10;
        return map_holes_in_locked_memory();
    });
    if (status == 77) WARN("no right to lock memory");
    CAPTURE(status);
    REQUIRE((status == 0 || status == 77));
}
