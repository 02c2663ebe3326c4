// EXPECT: this type cannot travel between processes, because a raw pointer
#include <multiprocessing/connection.hpp>

#include <string_view>

int main() {
    auto [a, b] = multiprocessing::Pipe();
    a.send(std::string_view("text"));
}
