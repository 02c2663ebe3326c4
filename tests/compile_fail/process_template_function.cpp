// SPDX-License-Identifier: MIT
// EXPECT: deleted
// EXPECT: give it one function: f<int> of a template, or a cast
#include <multiprocessing/process.hpp>

template <class T>
void show(T) {}

int main() { multiprocessing::Process process(show, 1); }
