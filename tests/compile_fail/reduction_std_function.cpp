// A std::function hides what is in it.
// EXPECT: multiprocessing: a std::function, std::bind or std::bind_front object cannot be called
// EXPECT: CannotBeCalledElsewhere<std::function<void
#include <multiprocessing/reduction.hpp>

#include <functional>

void submit() { multiprocessing::detail::require_portable_callable<std::function<void()>>(); }
