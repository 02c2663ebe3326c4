// A shared library that uses the library. SPDX-License-Identifier: MIT
#include "tests/builds/use.hpp"

extern "C" [[gnu::visibility("default")]] void use_library();

void use_library() {
    builds::use(mp::get_context<"fork">());
    builds::use(mp::get_context<"spawn">());
}
