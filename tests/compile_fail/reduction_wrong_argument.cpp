// An argument of a type that the parameter cannot be made from.
// EXPECT: multiprocessing: an argument cannot be converted to the type of the function.s parameter
// EXPECT: ArgumentsDoNotFit<void ?\(\*\)\(int\), .*TypeList<int>, std::(__cxx11::)?basic_string<char
#include <multiprocessing/reduction.hpp>

#include <string>

void work(int) {}

void submit() { multiprocessing::detail::store_arguments<decltype(work)>(std::string("a")); }
