// A string_view is refused by the archive itself, which programs do not call: so far inside.
// LINES: 22
// EXPECT: multiprocessing: this type cannot travel between processes, because a raw pointer
// EXPECT: CannotTravel<std::basic_string_view<char>.*std::basic_string_view<char>
#include <multiprocessing/reduction.hpp>

#include <string_view>

void send(std::string_view text) {
    multiprocessing::detail::OutputArchive archive;
    archive(text);
}
