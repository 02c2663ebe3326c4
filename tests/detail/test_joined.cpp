// detail/joined.hpp. SPDX-License-Identifier: MIT
#include <multiprocessing/detail/joined.hpp>

#include <cstdint>
#include <string>
#include <string_view>

#include "tests/catch.hpp"

using multiprocessing::detail::joined;

TEST_CASE("joined writes texts of every kind as they are", "[detail]") {
    const std::string with_zero("b\0c", 3);
    CHECK(joined({"a", with_zero, std::string_view("def", 1)}) == "a" + with_zero + "d");
    CHECK(joined({"", std::string()}).empty());
    CHECK(joined({}).empty());
}

TEST_CASE("joined writes integers of every size in decimal", "[detail]") {
    CHECK(joined({"pid ", 12, ", status ", -9, "."}) == "pid 12, status -9.");
    CHECK(joined({0, " ", std::uint8_t{200}, " ", std::int8_t{-128}}) == "0 200 -128");
    CHECK(joined({INT64_MIN, " ", INT64_MAX, " ", UINT64_MAX}) ==
          "-9223372036854775808 9223372036854775807 18446744073709551615");
}
