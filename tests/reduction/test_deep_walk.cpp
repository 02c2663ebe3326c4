// reduction/archive/archive_base.hpp: what a deep walk does where the system refuses it a stack.
// ALONE: it replaces a function of the C library.
// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <pthread.h>

#include <multiprocessing/reduction.hpp>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <system_error>
#include <utility>

#include "tests/catch.hpp"

using namespace multiprocessing::detail;

namespace {

bool refuses_stacks = false;

struct Node {
    int number = 0;
    std::unique_ptr<Node> next;
};

/// Makes a list that no usual stack is enough to walk.
std::unique_ptr<Node> long_list() {
    std::unique_ptr<Node> list;
    for (int i = 0; i < 300'000; ++i) list = std::make_unique<Node>(Node{i, std::move(list)});
    return list;
}

/// Frees a list without recursion.
void free_list(std::unique_ptr<Node> list) {
    while (list) list = std::exchange(list->next, nullptr);
}

}  // namespace

/// In the place of the C library's.
extern "C" int pthread_attr_setstacksize(pthread_attr_t* attributes, std::size_t size) noexcept {
    if (refuses_stacks) return EINVAL;
    using Function = int (*)(pthread_attr_t*, std::size_t);
    static const auto real =
        reinterpret_cast<Function>(::dlsym(RTLD_NEXT, "pthread_attr_setstacksize"));
    return real(attributes, size);
}

TEST_CASE("A walk that is refused a stack is an error, not one on a smaller stack", "[reduction]") {
    auto list = long_list();
    refuses_stacks = true;
    std::error_code code;
    try {
        OutputArchive archive;
        archive(list);
    } catch (const std::system_error& error) {
        code = error.code();
    }
    refuses_stacks = false;
    free_list(std::move(list));
    REQUIRE(code == std::errc::invalid_argument);
}
