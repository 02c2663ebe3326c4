// A manager in C++: programs in Python take texts from its queue, and count words in its object.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>
#include <multiprocessing/remote.hpp>

#include <cstdlib>
#include <iostream>
#include <map>
#include <string>

namespace mp = multiprocessing;

const std::string in_python = R"(
import sys
from multiprocessing.managers import BaseManager

class Library(BaseManager):
    pass

Library.register("texts")
Library.register("tally")
library = Library(sys.argv[1], b"secret")
library.connect()
texts, tally = library.texts(), library.tally()
for text in iter(texts.get, ""):
    for word in text.split():
        tally.add(word)
)";

class Tally {
  public:
    void add(const std::string& word) { ++counts_[word]; }
    std::map<std::string, int> counts() const { return counts_; }

  private:
    std::map<std::string, int> counts_;
};

int main() {
    mp::freeze_support();
    const mp::Queue<std::string> texts;
    Tally tally;
    mp::BaseManager library({}, {.authkey = "secret"});
    library.register_function("texts", [texts] { return texts; });
    library.register_function("tally", [&]() -> Tally& { return tally; },
                              {{"add", &Tally::add}, {"counts", &Tally::counts}});
    library.start();  // in a process of its own; from now on the tally is there

    for (const char* text : {"the cat sat", "the mat", "the cat", "", ""}) texts.put(text);
    const mp::RemoteProxy there = library.get("tally");
    const std::string client = "python3 -c '" + in_python + "' " + library.address().path();
    const int status = std::system((client + " & " + client + "; wait").c_str());
    for (const auto& [word, count] : there.call<std::map<std::string, int>>("counts")) {
        std::cout << word << ' ' << count << '\n';
    }
    return status;
}
