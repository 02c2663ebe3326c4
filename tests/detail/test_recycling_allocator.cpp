// detail/recycling_allocator.hpp. SPDX-License-Identifier: MIT
#include <multiprocessing/detail/recycling_allocator.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.hpp"

namespace {

using multiprocessing::detail::RecyclingAllocator;

struct Object {
    explicit Object(int number) : text(std::to_string(number)) {}
    std::string text;
};
std::shared_ptr<Object> make(int number) {
    return std::allocate_shared<Object>(RecyclingAllocator<Object>(), number);
}

}  // namespace

TEST_CASE("A block that was freed serves the next object", "[detail]") {
    const void* const first = make(1).get();
    REQUIRE(make(2).get() == first);
    REQUIRE(reinterpret_cast<std::uintptr_t>(first) % alignof(Object) == 0);
}

TEST_CASE("No two objects that live share a block, however many there are", "[detail]") {
    for (int round = 0; round < 3; ++round) {
        std::vector<std::shared_ptr<Object>> objects;
        std::set<const void*> places;
        for (int i = 0; i < 100; ++i) {
            objects.push_back(make(i));
            places.insert(objects.back().get());
        }
        REQUIRE(places.size() == 100);
        for (int i = 0; i < 100; ++i) {
            REQUIRE(objects[static_cast<std::size_t>(i)]->text == std::to_string(i));
        }
    }
}

TEST_CASE("Threads may free what others have made", "[detail]") {
    std::mutex mutex;
    std::vector<std::shared_ptr<Object>> common(40);
    std::vector<int> wrong(8);
    {
        std::vector<std::jthread> threads;
        for (std::size_t id = 0; id < 8; ++id) {
            threads.emplace_back([&, id] {
                for (int i = 0; i < 5'000; ++i) {
                    auto object = make(i);
                    if (object->text != std::to_string(i)) ++wrong[id];
                    const std::lock_guard guard(mutex);
                    common[static_cast<std::size_t>(i) % common.size()].swap(object);
                }
            });
        }
    }
    REQUIRE(wrong == std::vector<int>(8));
}
