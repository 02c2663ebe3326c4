// Arguments that no overload takes.
// EXPECT: multiprocessing: the function cannot be called with these arguments
// EXPECT: ArgumentsDoNotFit<Work, multiprocessing::detail::unknown, std::(__cxx11::)?basic_string<char
#include <multiprocessing/reduction.hpp>

#include <string>

struct Work {
    void operator()(int) const {}
    void operator()(int*) const {}
};

void submit() { multiprocessing::detail::store_arguments<Work>(std::string("a")); }
