// The standard library's own, to compare with.
#include <future>
#include <iostream>
#include <regex>

int main() {
    const std::regex pattern("a+");
    auto answer = std::async([&] { return std::regex_match("aa", pattern); });
    std::cout << answer.get() << "\n";
}
