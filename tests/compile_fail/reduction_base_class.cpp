// An aggregate whose base class has fields.
// EXPECT: multiprocessing: this type cannot travel between processes, because the fields of a struct
// EXPECT: write a cereal serialize\(\) function
// EXPECT: CannotTravel<Derived, Derived>
#include <multiprocessing/reduction.hpp>

struct Base {
    int a;
};
struct Derived : Base {
    int b;
};

void send() { multiprocessing::detail::require_picklable<Derived>(); }
