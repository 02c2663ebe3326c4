// A class with two sets of cereal functions.
// EXPECT: multiprocessing: .*more than one set of cereal functions
// EXPECT: CannotTravel<Both, Both>
#include <multiprocessing/reduction.hpp>

struct Both {
    Both() {}
    int number = 0;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(number);
    }
};
template <class Archive>
void serialize(Archive& archive, Both& both) {
    archive(both.number);
}

void send() { multiprocessing::detail::require_picklable<Both>(); }
