// EXPECT: this type cannot travel between processes, because a raw pointer, reference
#include <multiprocessing/connection.hpp>

#include <string>

int main() {
    auto [a, b] = multiprocessing::Pipe();
    (void)a.recv<std::string&>();
}
