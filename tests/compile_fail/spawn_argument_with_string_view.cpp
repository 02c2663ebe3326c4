// SPDX-License-Identifier: MIT
// EXPECT: this type cannot travel between processes, because a raw pointer, reference, string_view
// EXPECT: CannotTravel<Word, std::basic_string_view<char(, std::char_traits<char> ?)?> ?>
#include <multiprocessing/process.hpp>

#include <string_view>

struct Word {
    int line;
    std::string_view text;
};
void show(const Word&) {}

int main() { multiprocessing::SpawnProcess process(show, Word{}); }
