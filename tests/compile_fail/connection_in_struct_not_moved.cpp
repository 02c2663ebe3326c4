// EXPECT: a variable that cannot be copied needs std::move
#include <multiprocessing/connection.hpp>
#include <multiprocessing/process.hpp>

#include <string>
#include <utility>

struct Job {
    std::string name;
    multiprocessing::Connection reply;
};
void work(Job) {}

int main() {
    auto [a, b] = multiprocessing::Pipe();
    Job job{"x", std::move(b)};
    multiprocessing::Process process(work, job);
}
