// A pointer to a polymorphic class would lose what its object is.
// EXPECT: multiprocessing: .*a smart pointer to.*a polymorphic class
// EXPECT: CannotTravel<std::vector<std::unique_ptr<Shape.*std::unique_ptr<Shape
#include <multiprocessing/reduction.hpp>

#include <memory>
#include <vector>

struct Shape {
    virtual ~Shape() = default;
};

void send() { multiprocessing::detail::require_picklable<std::vector<std::unique_ptr<Shape>>>(); }
