// A program of C++ whose workers are programs of Python: they take words from one queue and put
// what they make of them into another, and count under a lock. SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>
#include <multiprocessing/python.hpp>

#include <iostream>
#include <map>
#include <string>
#include <vector>

namespace mp = multiprocessing;

using Objects = mp::Queue<mp::pickle::object>;  // whatever Python puts in

int main(int argc, char** argv) {
    mp::freeze_support();
    const std::string script = argc > 1 ? argv[1] : "examples/python/python_worker.py";

    Objects words, results;
    mp::Value<int> letters(0);
    std::vector<mp::python::Process> workers;
    for (int i = 0; i < 2; ++i) workers.emplace_back(script, words, results, letters);
    for (auto& worker : workers) worker.start();

    const std::vector<std::string> text{"python", "and", "C++", "share", "queues"};
    for (const std::string& word : text) words.put(word);
    std::map<std::string, std::string> titles;
    while (titles.size() < text.size()) {
        const auto [word, title] = results.get().get<std::pair<std::string, std::string>>();
        titles[word] = title;
    }
    for (const std::string& word : text) std::cout << titles[word] << '\n';

    for (std::size_t i = 0; i < workers.size(); ++i) words.put(nullptr);  // None: the end
    for (auto& worker : workers) worker.join();
    std::cout << letters.value << " letters\n";
}
