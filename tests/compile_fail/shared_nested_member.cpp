// What is deep in an aggregate, in a container, is found: the message names the innermost struct.
// EXPECT: a std::string keeps its text in the memory of one process. Use mp::shared::string
// EXPECT: NotShareable<.*Member<Person, 3>, std::(__cxx11::)?basic_string<char
#include <multiprocessing/shared_objects.hpp>

#include <string>

struct Person {
    int number;
    double weight;
    std::string name;
};
struct Team {
    int number;
    multiprocessing::shared::vector<Person> people;
};

int main() { multiprocessing::Shared<Team> team; }
