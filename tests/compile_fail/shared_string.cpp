// EXPECT: a std::string keeps its text in the memory of one process. Use mp::shared::string
// EXPECT: NotShareable<.*TheTypeItself, std::(__cxx11::)?basic_string<char
#include <multiprocessing/shared_objects.hpp>

#include <string>

int main() { multiprocessing::Shared<std::string> text; }
