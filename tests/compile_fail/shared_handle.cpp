// EXPECT: a handle \(a Queue, Lock, Value or the like\) is counted by the process that has it
// EXPECT: NotShareable<.*Member<Job, 2>, multiprocessing::Lock>
#include <multiprocessing/shared_objects.hpp>

struct Job {
    int number;
    multiprocessing::Lock lock;
};

int main() { multiprocessing::Shared<Job> job; }
