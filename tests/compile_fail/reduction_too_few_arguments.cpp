// Fewer arguments than parameters.
// EXPECT: multiprocessing: fewer arguments are given than the function has parameters
// EXPECT: ArgumentsDoNotFit<void ?\(\*\)\(int, double\), .*TypeList<int, double>, int>
#include <multiprocessing/reduction.hpp>

void work(int, double) {}

void submit() { multiprocessing::detail::store_arguments<decltype(work)>(1); }
