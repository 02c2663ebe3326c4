// A type with cereal functions that cannot be made by the receiver.
// LINES: 40: whether cereal may use a private constructor is known only where it is used
// EXPECT: this_type_needs_a_default_constructor.*Named
#include <multiprocessing/reduction.hpp>

struct Named {
    explicit Named(int n) : number(n) {}
    int number;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(number);
    }
};

Named receive(multiprocessing::detail::InputArchive& archive) { return archive.read<Named>(); }
