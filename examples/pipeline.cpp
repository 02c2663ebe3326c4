// Three stages at once: one process reads lines, two count their letters, one merges the counts.
// Each stage says that it is done by shutting down the queue that it fills.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <iostream>
#include <map>
#include <string>

namespace mp = multiprocessing;

using Counts = std::map<char, int>;

void read_lines(mp::Queue<std::string> lines) {
    for (const char* const line : {"to be", "or not", "to be", "that is", "the question"}) {
        lines.put(line);
    }
    lines.shutdown();
}

void compute(mp::Queue<std::string> lines, mp::Queue<Counts> counts) {
    for (const std::string& line : lines) {
        Counts letters;
        for (const char letter : line) letters[letter] += letter != ' ';
        counts.put(letters);
    }
}

void merge(mp::Queue<Counts> counts) {
    Counts all;
    for (const Counts& letters : counts) {
        for (const auto& [letter, count] : letters) all[letter] += count;
    }
    for (const auto& [letter, count] : all) {
        if (count > 2) std::cout << letter << ' ' << count << '\n';
    }
}

int main() {
    mp::freeze_support();
    mp::Queue<std::string> lines(2);  // a full queue holds the stage before it back
    mp::Queue<Counts> counts(2);
    mp::Process reader(read_lines, lines), merger(merge, counts);
    mp::Process first(compute, lines, counts), second(compute, lines, counts);
    reader.start(), first.start(), second.start(), merger.start();
    first.join(), second.join();
    counts.shutdown();
    reader.join(), merger.join();
}
