// reduction/archive/archive.hpp: the archives' memory, sinks, limits and tables.
// SPDX-License-Identifier: MIT
#include <multiprocessing/reduction.hpp>

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tests/catch.hpp"

namespace mp = multiprocessing;
using namespace multiprocessing::detail;

namespace {

/// A class that is more than its bytes, and can only be moved.
class Sealed {
  public:
    explicit Sealed(int number) : number_(std::make_unique<int>(number)) {}
    void archive_to(OutputArchive& archive) const { archive(*number_ + 1); }
    static Sealed from_archive(InputArchive& archive) { return Sealed(archive.read<int>()); }
    int number() const { return *number_; }

  private:
    std::unique_ptr<int> number_;
};
struct Letter {
    std::string text;
    Sealed sealed;
};

/// A sink like the heap: blocks that are never moved in place.
struct Blocks {
    std::vector<std::unique_ptr<std::byte[]>> blocks;

    static std::byte* grow(void* context, std::byte* block, std::size_t used, std::size_t needed,
                           std::size_t& capacity) {
        CHECK((used < needed && needed <= capacity));
        auto& self = *static_cast<Blocks*>(context);
        capacity += 5;
        self.blocks.push_back(std::make_unique<std::byte[]>(capacity));
        if (used != 0) std::memcpy(self.blocks.back().get(), block, used);
        return self.blocks.back().get();
    }
};

struct Descriptors final : DescriptorTransport {
    std::vector<int> sent;
    std::uint64_t attach(int fd) override {
        sent.push_back(fd);
        return sent.size() - 1;
    }
    int take(std::uint64_t number) override { return sent.at(number) + 100; }
};

std::vector<std::byte> message_of(std::uint64_t length, std::size_t bytes_that_follow) {
    std::vector<std::byte> message(sizeof(length) + bytes_that_follow);
    std::memcpy(message.data(), &length, sizeof(length));
    return message;
}

}  // namespace

TEST_CASE("OutputArchive begins in the caller's memory and goes on in its own", "[reduction]") {
    std::array<std::byte, 16> first;
    OutputArchive archive{std::span<std::byte>(first)};
    archive(1, 2);
    CHECK(archive.view().data() == first.data());
    archive(std::string(100, 'x'));
    CHECK(archive.view().data() != first.data());
    InputArchive input(archive.view());
    CHECK(input.read<int>() == 1);
    CHECK(input.read<int>() == 2);
    CHECK(input.read<std::string>() == std::string(100, 'x'));
}

TEST_CASE("OutputArchive writes into a sink's memory", "[reduction]") {
    Blocks blocks;
    std::array<std::byte, 8> first;
    OutputArchive archive(Growth{Blocks::grow, &blocks}, first);
    for (int i = 0; i < 1000; ++i) archive(i);
    CHECK(archive.view().data() == blocks.blocks.back().get());
    CHECK(blocks.blocks.size() < 15);
    InputArchive input(archive.view());
    for (int i = 0; i < 1000; ++i) REQUIRE(input.read<int>() == i);
}

TEST_CASE("OutputArchive.clear keeps the memory and forgets shared objects", "[reduction]") {
    OutputArchive archive;
    const auto shared = std::make_shared<int>(5);
    archive(shared);
    const auto* const memory = archive.view().data();
    archive.clear();
    CHECK(archive.size() == 0);
    archive(shared);
    CHECK(archive.view().data() == memory);
    CHECK(*InputArchive(archive.view()).read<std::shared_ptr<int>>() == 5);
}

TEST_CASE("OutputArchive.truncate takes back a value that could not be written", "[reduction]") {
    OutputArchive archive;
    const auto shared = std::make_shared<int>(5);
    archive(1);
    const std::size_t size = archive.size();
    archive(shared);
    archive.truncate(size);
    archive(shared);
    InputArchive input(archive.view());
    CHECK(input.read<int>() == 1);
    CHECK(*input.read<std::shared_ptr<int>>() == 5);
}

TEST_CASE("forget_shared lets values be read by archives of their own", "[reduction]") {
    const auto shared = std::make_shared<int>(5);
    OutputArchive archive;
    archive(shared);
    const std::size_t second = archive.size();
    archive.forget_shared();
    archive(shared);
    CHECK(*InputArchive(archive.view().subspan(second)).read<std::shared_ptr<int>>() == 5);
    InputArchive both(archive.view());
    CHECK(*both.read<std::shared_ptr<int>>() == 5);
    both.forget_shared();
    CHECK(*both.read<std::shared_ptr<int>>() == 5);
}

TEST_CASE("A length that the bytes do not cover is an error before memory is taken",
          "[reduction]") {
    for (const std::uint64_t length :
         {std::uint64_t{9}, std::uint64_t{1} << 32, std::uint64_t{1} << 61, ~std::uint64_t{0}}) {
        const auto message = message_of(length, 8);
        CHECK_THROWS_AS(InputArchive(message).read<std::string>(), mp::ProcessError);
        CHECK_THROWS_AS(InputArchive(message).read<std::vector<int>>(), mp::ProcessError);
        CHECK_THROWS_AS(InputArchive(message).read<std::vector<std::string>>(), mp::ProcessError);
        CHECK_THROWS_AS(InputArchive(message).read<std::vector<std::monostate>>(),
                        mp::ProcessError);
        using Map = std::map<std::string, int>;
        CHECK_THROWS_AS(InputArchive(message).read<Map>(), mp::ProcessError);
    }
    CHECK_THROWS_AS(InputArchive(message_of(65, 8)).read<std::vector<bool>>(), mp::ProcessError);
    CHECK(InputArchive(message_of(64, 8)).read<std::vector<bool>>().size() == 64);
}

TEST_CASE("Descriptors travel where the channel can carry them", "[reduction]") {
    Descriptors transport;
    OutputArchive output;
    CHECK_THROWS_AS(output.write_descriptor(3), mp::TypeError);
    output.carry_descriptors(&transport);
    output.write_descriptor(3);
    InputArchive input(output.view());
    input.carry_descriptors(&transport);
    CHECK(input.read_descriptor() == 103);
    CHECK_THROWS_AS(InputArchive(output.view()).read_descriptor(), mp::ProcessError);
}

TEST_CASE("A class that archives itself travels alone and in other types", "[reduction]") {
    static_assert(mp::picklable<Sealed> && mp::picklable<Letter>);
    using Map = std::map<std::string, std::pair<int, Sealed>>;
    OutputArchive output;
    std::vector<Sealed> several;
    several.emplace_back(2);
    Map map;
    map.emplace("a", std::pair(1, Sealed(3)));
    output(Sealed(1), several, std::optional(Sealed(4)), Letter{"b", Sealed(5)}, map);
    InputArchive input(output.view());
    CHECK(input.read<Sealed>().number() == 2);
    CHECK(input.read<std::vector<Sealed>>().at(0).number() == 3);
    CHECK(input.read<std::optional<Sealed>>()->number() == 5);
    const auto letter = input.read<Letter>();
    CHECK((letter.text == "b" && letter.sealed.number() == 6));
    CHECK(input.read<Map>().at("a").second.number() == 4);
    CHECK(input.remaining() == 0);
}
