// A lambda with captures, where the callable has to travel.
// EXPECT: multiprocessing: a lambda with captures cannot be called in another process
// EXPECT: mp::partial
// EXPECT: CannotBeCalledElsewhere<.*lambda
#include <multiprocessing/reduction.hpp>

void submit(int factor) {
    const auto scale = [factor](int x) { return factor * x; };
    multiprocessing::detail::require_portable_callable<decltype(scale)>();
    (void)scale;
}
