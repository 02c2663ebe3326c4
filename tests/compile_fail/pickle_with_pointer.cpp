// A struct with a pointer is nothing of Python's.
// EXPECT: this type is none of Python's
// EXPECT: to_pickle\(\) const
// EXPECT: CannotTravelAsPickle<.*Job, .*int ?\*>
// SPDX-License-Identifier: MIT
#include <multiprocessing/remote.hpp>

#include <vector>

struct Job {
    int number;
    std::vector<int*> places;
};

int main() { return static_cast<int>(multiprocessing::pickle::dumps(Job{}).size()); }
