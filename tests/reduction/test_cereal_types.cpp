// reduction/picklers/cereal_types.hpp: types that were written for cereal work unchanged.
// SPDX-License-Identifier: MIT
// ALONE: it specialises templates of cereal
#include <multiprocessing/reduction/picklers/cereal_types.hpp>

#include <cereal/cereal.hpp>
#include <cereal/types/polymorphic.hpp>
#include <cereal/types/vector.hpp>

#include <memory>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/reduction/round_trip.hpp"

namespace mp = multiprocessing;
using namespace multiprocessing::detail;
using support::arrives;
using support::round_trip;

namespace cereal_test {

class Private {
  public:
    explicit Private(int number) : number_(number) {}
    bool operator==(const Private&) const = default;

  private:
    friend class cereal::access;
    Private() = default;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(CEREAL_NVP(number_), cereal::make_nvp("text", text_));
    }
    int number_ = 0;
    std::string text_ = "t";
};

struct Split {
    std::string text;
    int number = 0;
    int transient = 0;
    template <class Archive>
    void save(Archive& archive) const {
        archive& text;
        archive << number;
    }
    template <class Archive>
    void load(Archive& archive) {
        archive& text;
        archive >> number;
    }
};

struct Minimal {
    int number = 0;
    template <class Archive>
    std::string save_minimal(const Archive&) const {
        return std::to_string(number);
    }
    template <class Archive>
    void load_minimal(const Archive&, const std::string& text) {
        number = std::stoi(text);
    }
    bool operator==(const Minimal&) const = default;
};

struct Versioned {
    int number = 0;
    template <class Archive>
    void serialize(Archive& archive, std::uint32_t version) {
        archive(number);
        seen = version;
    }
    std::uint32_t seen = 0;
};

class External {
  public:
    explicit External(int n = 0) : number(n) {}
    int number;
    bool operator==(const External&) const = default;
};
template <class Archive>
void serialize(Archive& archive, External& value) {
    archive(value.number);
}

// The byte of Base that is padding is where `small` lies.
struct Base {
    Base() = default;
    int number = 1;
    char tail = 2;
};
struct Derived : Base {
    char small = 3;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(small, cereal::base_class<Base>(this));
    }
};
template <class Archive>
void serialize(Archive& archive, Base& base) {
    archive(base.number, base.tail);
}

struct Raw {
    std::vector<int> numbers;
    template <class Archive>
    void save(Archive& archive) const {
        archive(cereal::make_size_tag(numbers.size()));
        archive(cereal::binary_data(numbers.data(), numbers.size() * sizeof(int)));
    }
    template <class Archive>
    void load(Archive& archive) {
        std::size_t size = 0;
        archive(cereal::make_size_tag(size));
        numbers.resize(size);
        archive(cereal::binary_data(numbers.data(), size * sizeof(int)));
    }
};

struct Symbol {  // of bitwise fields, but its function counts
    int number = 0;
    template <class Archive>
    void save(Archive& archive) const {
        archive(number * 2);
    }
    template <class Archive>
    void load(Archive& archive) {
        archive(number);
    }
};

struct Constructed {
    explicit Constructed(int n) : number(n) {}
    int number;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(number);
    }
    template <class Archive>
    static void load_and_construct(Archive& archive, cereal::construct<Constructed>& construct) {
        int number = 0;
        archive(number);
        construct(number);
    }
};

struct Shape {
    virtual ~Shape() = default;
    [[nodiscard]] virtual double area() const = 0;
    template <class Archive>
    void serialize(Archive&) {}
};
struct Square : Shape {
    double side = 0;
    Square() = default;
    explicit Square(double s) : side(s) {}
    [[nodiscard]] double area() const override { return side * side; }
    template <class Archive>
    void serialize(Archive& archive) {
        archive(cereal::base_class<Shape>(this), side);
    }
};

struct Deferred {
    std::shared_ptr<int> pointer;
    int number = 0;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(cereal::defer(pointer), number);
        archive.serializeDeferments();
    }
};

}  // namespace cereal_test

CEREAL_CLASS_VERSION(cereal_test::Versioned, 7)
CEREAL_SPECIALIZE_FOR_ALL_ARCHIVES(cereal_test::Derived, cereal::specialization::member_serialize)
CEREAL_SPECIALIZE_FOR_ALL_ARCHIVES(cereal_test::Square, cereal::specialization::member_serialize)
CEREAL_REGISTER_TYPE(cereal_test::Square)
CEREAL_REGISTER_POLYMORPHIC_RELATION(cereal_test::Shape, cereal_test::Square)

using namespace cereal_test;

TEST_CASE("Every kind of cereal function is called", "[reduction]") {
    CHECK(arrives(Private(7)));
    const Split split = round_trip(Split{"a", 4, 5});
    CHECK(split.text == "a");
    CHECK(split.number == 4);
    CHECK(split.transient == 0);
    CHECK(arrives(Minimal{12}));
    CHECK(arrives(External(4)));
    const Versioned versioned = round_trip(Versioned{3, 0});
    CHECK(versioned.number == 3);
    CHECK(versioned.seen == 7);
    CHECK(round_trip(Raw{{1, 2, 3}}).numbers == std::vector<int>{1, 2, 3});
    CHECK(round_trip(Symbol{3}).number == 6);
    const Deferred deferred = round_trip(Deferred{std::make_shared<int>(8), 9});
    CHECK(*deferred.pointer == 8);
    CHECK(deferred.number == 9);
}

TEST_CASE("Types with cereal functions arrive inside of others", "[reduction]") {
    CHECK(arrives(std::vector<Private>{Private(1), Private(2)}));
    CHECK(arrives(std::optional<Private>(Private(3))));
    CHECK(arrives(std::map<int, Minimal>{{1, {2}}}));
}

TEST_CASE("A base class does not overwrite what lies in its padding", "[reduction]") {
    Derived object;
    object.number = 10;
    object.tail = 20;
    object.small = 30;
    const Derived received = round_trip(object);
    CHECK(received.number == 10);
    CHECK(received.tail == 20);
    CHECK(received.small == 30);
}

TEST_CASE("load_and_construct makes objects that have no default constructor", "[reduction]") {
    CHECK(round_trip(std::make_unique<Constructed>(5))->number == 5);
    CHECK(round_trip(std::make_shared<Constructed>(6))->number == 6);
}

TEST_CASE("Registered polymorphic classes arrive as what they are", "[reduction]") {
    const std::unique_ptr<Shape> one = std::make_unique<Square>(3);
    CHECK(round_trip(one)->area() == 9);
    const std::shared_ptr<Shape> shared = std::make_shared<Square>(4);
    const auto both = round_trip(std::vector<std::shared_ptr<Shape>>{shared, shared});
    CHECK(both[0] == both[1]);
    CHECK(both[0]->area() == 16);
    CHECK(round_trip(std::shared_ptr<Shape>()) == nullptr);
}
