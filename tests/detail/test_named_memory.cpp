// detail/named_memory.hpp: each error has its errno and names the call and the block; a signal is
// no error; nothing is left of a block that could not be made. SPDX-License-Identifier: MIT
// ALONE: it has a shm_open of its own
#include <multiprocessing/detail/named_memory.hpp>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <string>

#include "tests/shared_memory/support.hpp"

namespace {

int interrupted_opens = 0;

}  // namespace

// In place of the C library's: one on a network could be interrupted, that of /dev/shm is not.
extern "C" int shm_open(const char* name, int flags, mode_t mode) {
    if (interrupted_opens > 0) {
        --interrupted_opens;
        errno = EINTR;
        return -1;
    }
    static const auto original =
        reinterpret_cast<int (*)(const char*, int, mode_t)>(::dlsym(RTLD_NEXT, "shm_open"));
    return original(name, flags, mode);
}

namespace {

using multiprocessing::detail::attach_named_memory;
using multiprocessing::detail::create_named_memory;
using multiprocessing::detail::make_named_memory;
using multiprocessing::detail::unlink_named_memory;

/// "call "name": message", as what() of an error that has this errno.
std::string text_of_error(const std::string& call, const std::string& name, int error) {
    return call + (name.empty() ? "" : " \"" + name + "\"") + ": " + std::strerror(error);
}

/// Whether `call` throws the std::system_error with this errno and this text.
template <class Call>
bool fails(Call call, int error, const std::string& text) {
    try {
        call();
    } catch (const std::system_error& thrown) {
        if (thrown.code() == std::error_code(error, std::generic_category()) &&
            thrown.what() == text) {
            return true;
        }
        std::fprintf(stderr, "%s\nand not\n%s\n", thrown.what(), text.c_str());
    }
    return false;
}

void limit(int resource, rlim_t most) {
    rlimit value{};
    mp::detail::checked(::getrlimit(static_cast<__rlimit_resource>(resource), &value), "getrlimit");
    value.rlim_cur = most;
    mp::detail::checked(::setrlimit(static_cast<__rlimit_resource>(resource), &value), "setrlimit");
}

}  // namespace

TEST_CASE("A name that is taken, gone or too long is said so, with the call and the name",
          "[shm]") {
    NothingLeft nothing_left;
    const std::string name = nothing_left.made(name_of("named"));
    REQUIRE(
        fails([&] { attach_named_memory(name); }, ENOENT, text_of_error("shm_open", name, ENOENT)));
    REQUIRE(fails([&] { unlink_named_memory(name); }, ENOENT,
                  text_of_error("shm_unlink", name, ENOENT)));
    const auto block = create_named_memory(name, 100);
    REQUIRE(fails([&] { create_named_memory(name, 1); }, EEXIST,
                  text_of_error("shm_open", name, EEXIST)));
    unlink_named_memory(name);
    const std::string longest(255, 'x');
    const std::string longer(256, 'x');
    nothing_left.made(longest);
    REQUIRE(create_named_memory(longest, 1).get_size() == 1);
    unlink_named_memory(longest);
    for (const auto call : {+[](const std::string& text) { attach_named_memory(text); },
                            +[](const std::string& text) { create_named_memory(text, 1); }}) {
        REQUIRE(fails([&] { call(longer); }, ENAMETOOLONG,
                      text_of_error("shm_open", longer, ENAMETOOLONG)));
    }
}

TEST_CASE("A block that is empty is a ValueError, and stays", "[shm]") {
    NothingLeft nothing_left;
    const std::string name = nothing_left.made(name_of("empty"));
    { const auto empty = make_named_memory(name); }
    REQUIRE_THROWS_WITH(attach_named_memory(name), "the shared memory \"" + name + "\" is empty");
    REQUIRE(is_there(name));
    unlink_named_memory(name);
}

TEST_CASE("A process without a free descriptor gets EMFILE", "[shm]") {
    NothingLeft nothing_left;
    const std::string name = nothing_left.made(name_of("descriptors"));
    const int status = in_fork([&] {
        const auto block = create_named_memory(name, 1);
        limit(RLIMIT_NOFILE, 0);
        const std::string text = text_of_error("shm_open", name, EMFILE);
        if (!fails([&] { attach_named_memory(name); }, EMFILE, text)) return 1;
        if (!fails([&] { create_named_memory(name, 1); }, EMFILE, text)) return 2;
        unlink_named_memory(name);
        return 0;
    });
    REQUIRE(status == 0);
}

TEST_CASE("A block of another user is EACCES", "[shm]") {
    if (::geteuid() != 0) return;
    NothingLeft nothing_left;
    const std::string name = nothing_left.made(name_of("others"));
    const auto block = create_named_memory(name, 1);
    const int status = in_fork([&] {
        mp::detail::checked(::setuid(65534), "setuid");
        if (!fails([&] { attach_named_memory(name); }, EACCES,
                   text_of_error("shm_open", name, EACCES))) {
            return 1;
        }
        return fails([&] { unlink_named_memory(name); }, EACCES,
                     text_of_error("shm_unlink", name, EACCES))
                   ? 0
                   : 2;
    });
    REQUIRE(status == 0);
    REQUIRE(is_there(name));
    unlink_named_memory(name);
}

TEST_CASE("A block that is too large leaves no name: EFBIG, ENOMEM, ENOSPC", "[shm]") {
    NothingLeft nothing_left;
    const std::string name = nothing_left.made(name_of("large"));
    const std::int64_t size = std::int64_t{1} << 20;
    const int too_big = in_fork([&] {
        limit(RLIMIT_FSIZE, size);
        if (create_named_memory(name, size).get_size() != static_cast<std::size_t>(size)) return 1;
        unlink_named_memory(name);
        const auto make = [&] { create_named_memory(name, size + 1); };
        if (!fails(make, EFBIG, text_of_error("ftruncate", "", EFBIG))) return 2;
        return is_there(name) ? 3 : 0;
    });
    REQUIRE(too_big == 0);
    if (!support::sanitized) {  // they map more than any limit
        const int no_room = in_fork([&] {
            limit(RLIMIT_AS, 0);
            const auto make = [&] { create_named_memory(name, size); };
            if (!fails(make, ENOMEM, text_of_error("mmap", "", ENOMEM))) return 1;
            return is_there(name) ? 2 : 0;
        });
        REQUIRE(no_room == 0);
    }
    const auto too_much = [&] { create_named_memory(name, INT64_MAX - 4095); };
    int error = 0;
    try {
        too_much();
    } catch (const std::system_error& thrown) {
        error = thrown.code().value();
    }
    REQUIRE((error == EFBIG || error == ENOSPC || error == EINVAL));
    REQUIRE_FALSE(is_there(name));
}

TEST_CASE("An open that signals interrupt is tried again", "[shm]") {
    NothingLeft nothing_left;
    const std::string name = nothing_left.made(name_of("interrupted"));
    interrupted_opens = 1000;
    const auto block = create_named_memory(name, 5000);
    REQUIRE(interrupted_opens == 0);
    interrupted_opens = 1000;
    REQUIRE(attach_named_memory(name).get_size() == 5000);
    REQUIRE(interrupted_opens == 0);
    unlink_named_memory(name);
    interrupted_opens = 1000;
    REQUIRE(
        fails([&] { attach_named_memory(name); }, ENOENT, text_of_error("shm_open", name, ENOENT)));
}

TEST_CASE("A name is its user's alone, whatever the umask", "[shm]") {
    NothingLeft nothing_left;
    const std::string name = nothing_left.made(name_of("mode"));
    for (const mode_t mask : {0u, 077u, 0777u}) {
        const mode_t before = ::umask(mask);
        const auto block = create_named_memory(name, 1);
        ::umask(before);
        struct stat status {};
        REQUIRE(::stat(("/dev/shm/" + name).c_str(), &status) == 0);
        REQUIRE((status.st_mode & 0777) == 0600);
        unlink_named_memory(name);
    }
}
