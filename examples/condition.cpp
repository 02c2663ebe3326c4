// Two processes take turns: each waits until it is its turn, and tells the other when it is done.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <iostream>
#include <mutex>
#include <string>

namespace mp = multiprocessing;

void play(int player, const std::string& word, mp::Condition condition, mp::RawValue<int> turn,
          mp::ListProxy<std::string> said) {
    for (int round = 0; round < 3; ++round) {
        const std::scoped_lock guard(condition);
        condition.wait_for([&] { return turn.value == player; });
        said.append(word);
        turn.value = 1 - player;
        condition.notify();
    }
}

int main() {
    mp::freeze_support();
    mp::Manager manager;
    mp::Condition condition;
    mp::RawValue<int> turn(0);
    auto said = manager.list<std::string>();
    mp::Process ping(play, 0, "ping", condition, turn, said);
    mp::Process pong(play, 1, "pong", condition, turn, said);
    ping.start(), pong.start();
    ping.join(), pong.join();
    for (const std::string& word : said.to_vector()) std::cout << word << '\n';
}
