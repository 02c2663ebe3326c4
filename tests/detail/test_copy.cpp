// detail/copy.hpp: every byte arrives, and no other changes. SPDX-License-Identifier: MIT
#include <multiprocessing/detail/copy.hpp>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <vector>

#include "tests/catch.hpp"

using multiprocessing::detail::copy_bytes;

TEST_CASE("copy_bytes copies all bytes of any size, and no more", "[detail]") {
    for (const std::size_t size :
         std::initializer_list<std::size_t>{0, 1, 7, 2'047, 2'048, 2'049, 4'096, 10'000,
                                            (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3'000'000}) {
        std::vector<unsigned char> from(size);
        for (std::size_t i = 0; i < size; ++i)
            from[i] = static_cast<unsigned char>(i * 7 + i / 251);
        std::vector<unsigned char> to(size + 2, 0xEE);
        copy_bytes(to.data() + 1, from.data(), size);
        INFO(size);
        REQUIRE(std::equal(from.begin(), from.end(), to.begin() + 1));
        REQUIRE(to.front() == 0xEE);
        REQUIRE(to.back() == 0xEE);
    }
    copy_bytes(nullptr, nullptr, 0);
}
