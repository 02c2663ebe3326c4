// reduction/{images,function_identity}.hpp: a function is found again in another process.
// SPDX-License-Identifier: MIT
#include <multiprocessing/reduction/functions/function_identity.hpp>
#include <multiprocessing/reduction/picklable.hpp>

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.hpp"

namespace mp = multiprocessing;
using namespace multiprocessing::detail;

namespace {

int twice(int x) { return 2 * x; }
template <int factor>
int times(int x) noexcept {
    return factor * x;
}

struct Account {
    int balance = 0;
    int add(int amount) const { return balance + amount; }
    virtual int bonus() { return 1; }
    virtual ~Account() = default;
};
struct Savings : Account {
    int bonus() override { return 2; }
};

template <class T>
T sent(const T& value) {
    OutputArchive output;
    output(value);
    return InputArchive(output.view()).read<T>();
}

/// Runs `body(archive)` in a forked child and returns what it wrote.
template <class Body>
std::vector<std::byte> written_by_child(Body body) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
        OutputArchive archive;
        body(archive);
        const bool all = ::write(ends[1], archive.view().data(), archive.size()) ==
                         static_cast<ssize_t>(archive.size());
        ::_exit(all ? 0 : 1);
    }
    ::close(ends[1]);
    std::vector<std::byte> bytes(4096);
    const ssize_t size = ::read(ends[0], bytes.data(), bytes.size());
    ::close(ends[0]);
    int status = 0;
    ::waitpid(pid, &status, 0);
    REQUIRE(status == 0);
    bytes.resize(static_cast<std::size_t>(size));
    return bytes;
}

}  // namespace

TEST_CASE("identify tells a function of the program by its offset", "[reduction]") {
    const FunctionIdentity identity = identify(&twice);
    CHECK(identity.image.empty());
    CHECK(identity.build_id == main_image().build_id);
    CHECK(resolve_as<int(int)>(identity) == &twice);
    CHECK(identify(&times<3>) != identify(&times<4>));
}

TEST_CASE("Functions, lambdas and member pointers arrive", "[reduction]") {
    CHECK(sent(&twice)(4) == 8);
    CHECK(sent(&times<3>)(4) == 12);
    CHECK(sent(+[](int x) { return x + 1; })(4) == 5);
    CHECK(sent(static_cast<int (*)(int)>(nullptr)) == nullptr);
    Savings savings;
    savings.balance = 5;
    CHECK((savings.*sent(&Account::add))(3) == 8);
    CHECK((savings.*sent(&Account::bonus))() == 2);
    CHECK(savings.*sent(&Account::balance) == 5);
    CHECK(sent(static_cast<int (Account::*)()>(nullptr)) == nullptr);
}

TEST_CASE("A function of a shared library is found by the library's path", "[reduction]") {
    void* const address = ::dlsym(RTLD_DEFAULT, "getpid");
    const FunctionIdentity identity = identify(address);
    CHECK(identity.image.starts_with('/'));
    CHECK(resolve(identity) == address);
    CHECK(identify(address) == identity);  // from the cache
    CHECK(sent(reinterpret_cast<pid_t (*)()>(address))() == ::getpid());
}

TEST_CASE("A library that only the sender has loaded is loaded by the receiver", "[reduction]") {
    constexpr const char* library = "libBrokenLocale.so.1";  // of glibc; nobody uses it
    REQUIRE(::dlopen(library, RTLD_NOW | RTLD_NOLOAD) == nullptr);
    const auto message = written_by_child([&](OutputArchive& archive) {
        void* const loaded = ::dlopen(library, RTLD_NOW);
        if (loaded != nullptr) save_function(archive, ::dlsym(loaded, "__ctype_get_mb_cur_max"));
    });
    InputArchive archive(message);
    using Function = std::size_t (*)();
    const auto function = load_function<Function>(archive);
    REQUIRE(function != nullptr);
    CHECK(function() >= 1);
}

TEST_CASE("A library opened by a relative path has an absolute one", "[reduction]") {
    void* const known = ::dlopen("libm.so.6", RTLD_NOW);
    REQUIRE(known != nullptr);
    const std::string path = identify(::dlsym(known, "cbrt")).image;
    char folder[] = "/tmp/mp-test-XXXXXX";
    REQUIRE(::mkdtemp(folder) != nullptr);
    const std::string copy = std::string(folder) + "/libcopy.so";
    REQUIRE(std::system(("cp -L " + path + " " + copy).c_str()) == 0);
    char before[4096];
    REQUIRE(::getcwd(before, sizeof before) != nullptr);
    REQUIRE(::chdir(folder) == 0);
    void* const loaded = ::dlopen("./libcopy.so", RTLD_NOW);
    REQUIRE(::chdir(before) == 0);
    REQUIRE(loaded != nullptr);
    const FunctionIdentity identity = identify(::dlsym(loaded, "cbrt"));
    CHECK(identity.image == copy);
    CHECK(resolve(identity) == ::dlsym(loaded, "cbrt"));
    ::dlclose(loaded);
    ::unlink(copy.c_str());
    ::rmdir(folder);
}

TEST_CASE("Another build of an image is an error that names it", "[reduction]") {
    FunctionIdentity identity = identify(&twice);
    identity.build_id ^= 1;
    CHECK_THROWS_AS(resolve(identity), mp::RuntimeError);
    FunctionIdentity library = identify(::dlsym(RTLD_DEFAULT, "getpid"));
    library.build_id ^= 1;
    CHECK_THROWS_WITH(resolve(library), Catch::Matchers::ContainsSubstring(library.image));
    CHECK_THROWS_WITH(resolve({"/nonexistent.so", 0, 0}),
                      Catch::Matchers::ContainsSubstring("/nonexistent.so"));
    identity = identify(&twice);
    identity.offset = std::uint64_t{1} << 40;
    CHECK_THROWS_AS(resolve(identity), mp::RuntimeError);
}

TEST_CASE("Code that no image has cannot be sent", "[reduction]") {
    void* const code = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(code != MAP_FAILED);
    CHECK_THROWS_AS(identify(code), mp::RuntimeError);
    ::munmap(code, 4096);
}

TEST_CASE("Many threads may identify functions at once", "[reduction]") {
    void* const address = ::dlsym(RTLD_DEFAULT, "getppid");
    const FunctionIdentity expected = identify(address);
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 1000; ++i) {
                if (identify(address) != expected || resolve(expected) != address) ++wrong;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
}
