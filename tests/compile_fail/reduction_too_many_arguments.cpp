// More arguments than parameters.
// EXPECT: multiprocessing: more arguments are given than the function has parameters
// EXPECT: ArgumentsDoNotFit<void ?\(\*\)\(int\), multiprocessing::detail::TypeList<int>, int, int>
#include <multiprocessing/reduction.hpp>

void work(int) {}

void submit() { multiprocessing::detail::store_arguments<decltype(work)>(1, 2); }
