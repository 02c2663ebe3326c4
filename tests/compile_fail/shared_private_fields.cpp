// EXPECT: the fields of this class cannot be seen
// EXPECT: set mp::bitwise_picklable for it
#include <multiprocessing/shared_objects.hpp>

class Account {
  public:
    explicit Account(int cents) : cents_(cents) {}
    int cents() const { return cents_; }

  private:
    int cents_;
};

int main() { multiprocessing::Shared<Account> account(3); }
