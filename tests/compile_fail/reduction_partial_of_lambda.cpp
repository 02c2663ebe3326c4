// What partial binds must be able to travel too.
// EXPECT: multiprocessing: this functor cannot be called in another process, because its state
// EXPECT: CannotBeCalledElsewhere<multiprocessing::Partial<.*int ?\*
#include <multiprocessing/reduction.hpp>

void fill(int* values, int value) { *values = value; }

void submit(int* values) {
    const auto bound = multiprocessing::partial(fill, values);
    multiprocessing::detail::require_portable_callable<decltype(bound)>();
}
