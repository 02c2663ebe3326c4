// Processes count words into one dict. What `+=` does is one step: no other process comes between.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <iostream>
#include <sstream>
#include <string>

namespace mp = multiprocessing;

void count_words(const std::string& text, mp::DictProxy<std::string, int> counts) {
    std::istringstream words(text);
    for (std::string word; words >> word;) counts[word] += 1;
}

int main() {
    mp::freeze_support();
    mp::Manager manager;
    auto counts = manager.dict<std::string, int>({{"the", 0}, {"cat", 0}, {"sat", 0}, {"mat", 0}});
    mp::Process a(count_words, "the cat sat", counts), b(count_words, "the mat the cat", counts);
    a.start(), b.start();
    a.join(), b.join();
    for (const auto& [word, count] : counts.items()) std::cout << word << ' ' << count << '\n';
}
