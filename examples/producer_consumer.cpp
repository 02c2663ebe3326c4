// One process makes items, another takes them until it meets the sentinel, which says: no more.
// SPDX-License-Identifier: MIT
#include <multiprocessing.hpp>

#include <iostream>
#include <optional>

namespace mp = multiprocessing;

using Items = mp::Queue<std::optional<int>>;

void produce(Items items) {
    for (int i = 1; i <= 5; ++i) items.put(i * 10);
    items.put(std::nullopt);
}

void consume(Items items) {
    int sum = 0;
    while (const std::optional<int> item = items.get()) {
        std::cout << "got " << *item << '\n';
        sum += *item;
    }
    std::cout << "that was all: " << sum << '\n';
}

int main() {
    mp::freeze_support();
    Items items;
    mp::Process producer(produce, items), consumer(consume, items);
    producer.start(), consumer.start();
    producer.join(), consumer.join();
}
