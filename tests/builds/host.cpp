// A program that loads shared libraries, its arguments, and lets each use the library. They share
// one state, which is this program's: it was linked with -rdynamic. SPDX-License-Identifier: MIT
#include <dlfcn.h>

#include <cstdio>
#include <multiprocessing/start_method/freeze_support.hpp>
#include <vector>

int main(int argc, char** argv) {
    multiprocessing::freeze_support();
    std::vector<void (*)()> functions;
    for (int i = 1; i < argc; ++i) {
        void* const library = ::dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
        void* const function = library != nullptr ? ::dlsym(library, "use_library") : nullptr;
        if (function == nullptr) {
            std::printf("%s cannot be loaded: %s\n", argv[i], ::dlerror());
            return 1;
        }
        functions.push_back(reinterpret_cast<void (*)()>(function));
    }
    // In two rounds: what one has started and ended must not be in the other's way.
    for (int round = 0; round < 2; ++round) {
        for (const auto function : functions) function();
    }
    std::puts("It works.");
}
