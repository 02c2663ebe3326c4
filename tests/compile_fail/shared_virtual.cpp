// EXPECT: a class with virtual functions has the address of its table of functions
// EXPECT: NotShareable<.*Member<Drawing, 1>, Shape>
#include <multiprocessing/shared_objects.hpp>

struct Shape {
    virtual double area() const { return 0; }
};
struct Drawing {
    Shape shape;
};

int main() { multiprocessing::Shared<Drawing> drawing; }
