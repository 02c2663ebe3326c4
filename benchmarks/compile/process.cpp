// What a program with a process and nothing else costs to compile.
#include <multiprocessing/process.hpp>

#include <cstdio>

namespace mp = multiprocessing;

void greet(int number) { std::printf("This is process %d\n", number); }

int main() {
    mp::freeze_support();
    mp::Process process(greet, 1);
    process.start();
    process.join();
}
