// An error in a task is thrown where its result is asked for, as its own type; the others go on.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace mp = multiprocessing;

struct ParseError : std::runtime_error {
    using std::runtime_error::runtime_error;
};
const bool parse_error_travels = mp::register_exception<ParseError>();  // standard ones do anyway

int parse(const std::string& text) {
    if (text.empty()) throw std::invalid_argument("there is nothing to parse");
    if (text[0] < '0' || text[0] > '9') throw ParseError(text + " is not a number");
    return text[0] - '0';
}

int main() {
    mp::freeze_support();
    mp::Pool pool(2);
    std::vector<mp::AsyncResult<int>> results;
    for (const char* const text : {"1", "two", "3", ""}) {
        results.push_back(pool.apply_async(parse, text));
    }
    for (const auto& result : results) {
        try {
            std::cout << result.get() << '\n';
        } catch (const ParseError& error) {
            std::cout << "ParseError: " << error.what() << '\n';
        } catch (const std::invalid_argument& error) {
            std::cout << "invalid argument: " << error.what() << '\n';
        }
    }
}
