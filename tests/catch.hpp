// Catch2, whichever of its two majors is installed: v2 (Debian 12) is one header, v3 (Ubuntu 24.04)
// a folder of them and a library.
// SPDX-License-Identifier: MIT
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;  // where v2 has it
#else
#include <catch2/catch.hpp>

#include <string>
namespace Catch::Matchers {
// By the name of v3. The matcher for strings, where v2's Contains is also the one for vectors.
inline StdString::ContainsMatcher ContainsSubstring(const std::string& part) {
    return Contains(part);
}
}  // namespace Catch::Matchers
#endif
