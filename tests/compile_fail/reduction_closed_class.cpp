// A class whose fields cannot be seen.
// EXPECT: multiprocessing: this type cannot travel between processes: give it a cereal serialize\(\)
// EXPECT: CannotTravel<std::map<int, Closed.*Closed
#include <multiprocessing/reduction.hpp>

#include <map>

class Closed {
  public:
    explicit Closed(int number) : number_(number) {}

  private:
    int number_;
};

void send() { multiprocessing::detail::require_picklable<std::map<int, Closed>>(); }
