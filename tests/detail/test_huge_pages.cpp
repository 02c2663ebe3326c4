// detail/huge_pages.hpp: what part of memory huge pages can hold, and who gets them.
// SPDX-License-Identifier: MIT
#include <multiprocessing/detail/huge_pages.hpp>
#include <multiprocessing/queues.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/catch.hpp"
#include "tests/support.hpp"

namespace mp = multiprocessing;
using mp::detail::always_fresh;
constexpr std::size_t huge = mp::detail::huge_page_size;

namespace {

/// Returns whether this kernel gives a huge page of private memory when it is asked to.
bool kernel_has_huge_pages() {
    std::vector<char> memory;
    mp::detail::make_room(memory, always_fresh + huge);
    memory.resize(always_fresh + huge);
    return support::huge_bytes_at(&memory[huge]) != 0;
}

}  // namespace

TEST_CASE("huge_pages_within finds the part that begins and ends where a page may", "[detail]") {
    auto* const begin = reinterpret_cast<std::byte*>(std::size_t{1} << 40);
    const auto within = [=](std::size_t first, std::size_t size) {
        const auto pages = mp::detail::huge_pages_within({begin + first, size});
        return pages.empty()
                   ? std::pair<std::size_t, std::size_t>()
                   : std::pair(static_cast<std::size_t>(pages.data() - begin), pages.size());
    };
    const auto nothing = std::pair<std::size_t, std::size_t>();
    REQUIRE(within(0, huge) == std::pair(std::size_t{0}, huge));
    REQUIRE(within(0, 3 * huge - 1) == std::pair(std::size_t{0}, 2 * huge));
    REQUIRE(within(1, huge) == nothing);
    REQUIRE(within(1, 2 * huge - 1) == std::pair(huge, huge));
    REQUIRE(within(1, 2 * huge - 2) == nothing);
    REQUIRE(within(huge - 1, 4 * huge) == std::pair(huge, 3 * huge));
    REQUIRE(within(5, 0) == nothing);
    REQUIRE(mp::detail::huge_pages_within({}).empty());
}

TEST_CASE("make_room leaves small arrays, and those with room, as they are", "[detail]") {
    std::vector<int> small{1, 2, 3};
    mp::detail::make_room(small, 1'000);
    REQUIRE(small == std::vector{1, 2, 3});
    std::string large(always_fresh + 1, 'x');
    const char* const place = large.data();
    mp::detail::make_room(large, always_fresh + 1);
    REQUIRE(large.data() == place);
    REQUIRE(large.back() == 'x');
}

TEST_CASE("A large vector or text arrives in huge pages", "[detail]") {
    const support::Watchdog watchdog(60);
    if (!kernel_has_huge_pages()) WARN("this kernel gives no huge pages on demand");
    const auto travels = [](auto sent) {
        mp::Queue<decltype(sent)> queue;
        queue.put(sent);
        const auto got = queue.get();
        REQUIRE(got == sent);
        if (kernel_has_huge_pages()) {
            REQUIRE(support::huge_bytes_at(&got[got.size() / 2]) >= huge);
        }
    };
    travels(std::vector<double>(always_fresh / sizeof(double) + 2 * huge, 1.5));
    travels(std::string(always_fresh + 3 * huge + 1, 'x'));
}
