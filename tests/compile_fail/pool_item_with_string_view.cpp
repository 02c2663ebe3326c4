// SPDX-License-Identifier: MIT
// EXPECT: this type cannot travel between processes, because a raw pointer, reference, string_view
// EXPECT: CannotTravel<Word, std::basic_string_view<char(, std::char_traits<char> ?)?> ?>
#include <multiprocessing/pool.hpp>

#include <string_view>
#include <vector>

struct Word {
    int line;
    std::string_view text;
};
std::size_t length(const Word& word) { return word.text.size(); }

int main() {
    multiprocessing::Pool pool(1);
    (void)pool.map(length, std::vector<Word>(3));
}
