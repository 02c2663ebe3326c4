// A raw pointer deep in a type is found and named.
// EXPECT: multiprocessing: this type cannot travel between processes, because a raw pointer
// EXPECT: send the object itself
// EXPECT: CannotTravel<std::(__cxx11::)?(list|vector)<Job.*int ?\*
#include <multiprocessing/reduction.hpp>

#include <vector>

struct Job {
    int number;
    int* result;
};

void send(const std::vector<Job>& jobs) {
    multiprocessing::detail::require_picklable<std::vector<Job>>();
    (void)jobs;
}
