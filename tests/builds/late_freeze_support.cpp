// A program that looks at its arguments before freeze_support(), or ends before it: its spawned
// child leaves main without running the target. The parent says so, with the line to add.
// SPDX-License-Identifier: MIT
#include <multiprocessing/process.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>

namespace mp = multiprocessing;

namespace {

void target() {}

/// Starts a child, and returns what this process writes on standard error about it.
template <class StartMethod>
std::string complaint() {
    std::FILE* const file = std::tmpfile();
    const int before = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    ::dup2(::fileno(file), STDERR_FILENO);
    std::string text;
    try {
        mp::BasicProcess<StartMethod> process(target);
        process.start();
        process.join();
    } catch (const std::runtime_error& error) {  // the fork server did not come
        text = error.what();
    }
    ::dup2(before, STDERR_FILENO);
    std::rewind(file);
    for (int c = 0; (c = std::getc(file)) != EOF;) text += static_cast<char>(c);
    std::fclose(file);
    return text;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1) return std::string_view(argv[1]) == "--help" ? 0 : 2;  // "usage: ..."
    ::alarm(120);
    mp::freeze_support();
    for (const std::string& text :
         {complaint<mp::start_method::spawn>(), complaint<mp::start_method::forkserver>()}) {
        std::puts(text.c_str());
        if (text.find("multiprocessing::freeze_support()") == std::string::npos) return 1;
    }
    return 0;
}
