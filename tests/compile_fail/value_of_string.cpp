// EXPECT: multiprocessing: a Value or Array needs a trivially copyable type
#include <multiprocessing/sharedctypes.hpp>

#include <string>

int main() { multiprocessing::Value<std::string> value; }
