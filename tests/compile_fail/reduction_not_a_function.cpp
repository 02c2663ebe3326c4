// What is not a function at all.
// EXPECT: multiprocessing: this is not a function
// EXPECT: CannotBeCalledElsewhere<int
#include <multiprocessing/reduction.hpp>

void submit() { multiprocessing::detail::require_portable_callable<int>(); }
