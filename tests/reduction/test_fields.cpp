// reduction/types/fields.hpp: the number and the types of an aggregate's fields.
// SPDX-License-Identifier: MIT
#include <multiprocessing/reduction/types/fields.hpp>

#include <any>
#include <array>
#include <chrono>
#include <complex>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "tests/catch.hpp"

using namespace multiprocessing::detail;

namespace {

template <class T>
constexpr std::size_t count = Fields<T>::count;
template <class T>
constexpr FieldsProblem problem = Fields<T>::problem;

struct Nothing {};
struct One {
    std::string text;
};
struct Two {
    int a;
    double b;
};
struct Containers {
    std::string text;
    std::vector<int> numbers;
    std::map<int, std::string> names;
    std::optional<int> maybe;
    std::variant<int, std::string> either;
};
struct OptionalLocals {  // of a type that no other file can name
    std::string text;
    std::optional<Two> maybe;
    std::variant<int, Two> either;
};
enum class LocalEnum { first, second };
enum PlainLocalEnum { plain_first };
struct OptionalLocalEnums {
    std::optional<LocalEnum> maybe;
    std::string text;
    std::optional<PlainLocalEnum> plain;
};
struct OnlyOptionalLocalEnum {
    std::optional<LocalEnum> maybe;
};
struct MoveOnly {
    std::unique_ptr<int> pointer;
    std::optional<int> maybe;
    std::variant<int, std::string> either;
    std::any anything;
};
struct Ambiguous {  // from "a value of any type"
    std::function<int(int)> function;
    void (*pointer)(int);
    int Two::*member;
    std::complex<double> number;
    std::tuple<int, std::string> tuple;
    std::pair<int, int> pair;
    std::chrono::milliseconds time;
};
struct Arrays {
    char name[300];
    double matrix[4][4];
    int last;
};
struct ArraysOfClasses {
    std::shared_ptr<int> pointers[2];
    std::unique_ptr<int> pointer;
    int numbers[2][2];
    Two pairs[2];
};
struct Huge {
    std::array<char, 1 << 20> data;
    int last;
};
struct Bits {
    unsigned a : 3;
    unsigned b : 5;
    int c;
};
struct References {
    int& number;
    const std::string& text;
};
struct Constants {
    const int number;
    const std::string text;
};
struct NoDefault {
    NoDefault(int);
};
struct OfNoDefaults {
    int first;
    NoDefault a;
    int numbers[2];
    NoDefault b;
    std::string text;
};
struct Empties {
    Nothing a;
    int b;
    Nothing c;
};
struct Tree {
    int value;
    std::vector<Tree> children;
    std::unique_ptr<Tree> next;
};
struct Initialised {
    int number = 3;
    std::string text = "x";
};
struct Immovable {
    std::mutex mutex;
    int number;
};
struct WithFieldsInBase : Two {
    int c;
};
struct WithEmptyBase : Nothing {
    int number;
    std::string text;
};
struct WithBaseOnly : Two {};
struct Sixty {
    int a[100];
    int b01, b02, b03, b04, b05, b06, b07, b08, b09, b10, b11, b12, b13, b14, b15, b16, b17, b18;
    int c01, c02, c03, c04, c05, c06, c07, c08, c09, c10, c11, c12, c13, c14, c15, c16, c17, c18;
    int d01, d02, d03, d04, d05, d06, d07, d08, d09, d10, d11, d12, d13, d14, d15, d16, d17, d18;
    std::string e1, e2, e3, e4, e5;
};
struct TooMany {
    Sixty first;
    int b01, b02, b03, b04, b05, b06, b07, b08, b09, b10, b11, b12, b13, b14, b15, b16, b17, b18;
    int c01, c02, c03, c04, c05, c06, c07, c08, c09, c10, c11, c12, c13, c14, c15, c16, c17, c18;
    int d01, d02, d03, d04, d05, d06, d07, d08, d09, d10, d11, d12, d13, d14, d15, d16, d17, d18;
    std::string e1, e2, e3, e4, e5, e6, e7, e8, e9, e10;
};
class NotAnAggregate {
  public:
    explicit NotAnAggregate(int);
};

}  // namespace

TEST_CASE("Fields counts what a struct declares", "[reduction]") {
    STATIC_REQUIRE(count<Nothing> == 0);
    STATIC_REQUIRE(count<One> == 1);
    STATIC_REQUIRE(count<Two> == 2);
    STATIC_REQUIRE(count<Containers> == 5);
    STATIC_REQUIRE(count<OptionalLocals> == 3);
    STATIC_REQUIRE(count<OptionalLocalEnums> == 3);
    STATIC_REQUIRE(count<OnlyOptionalLocalEnum> == 1);
    STATIC_REQUIRE(count<MoveOnly> == 4);
    STATIC_REQUIRE(count<Ambiguous> == 7);
    STATIC_REQUIRE(count<Arrays> == 3);
    STATIC_REQUIRE(count<ArraysOfClasses> == 4);
    STATIC_REQUIRE(count<Huge> == 2);
    STATIC_REQUIRE(count<Bits> == 3);
    STATIC_REQUIRE(count<References> == 2);
    STATIC_REQUIRE(count<Constants> == 2);
    STATIC_REQUIRE(count<OfNoDefaults> == 5);
    STATIC_REQUIRE(count<Empties> == 3);
    STATIC_REQUIRE(count<Tree> == 3);
    STATIC_REQUIRE(count<Initialised> == 2);
    STATIC_REQUIRE(count<Immovable> == 2);
    STATIC_REQUIRE(count<Sixty> == 60);
    STATIC_REQUIRE(count<WithEmptyBase> == 2);
}

TEST_CASE("Fields tells the declared types, references and constants included", "[reduction]") {
    STATIC_REQUIRE(std::is_same_v<FieldTypes<References>, TypeList<int&, const std::string&>>);
    STATIC_REQUIRE(std::is_same_v<FieldTypes<Constants>, TypeList<const int, const std::string>>);
    STATIC_REQUIRE(std::is_same_v<FieldTypes<Arrays>, TypeList<char[300], double[4][4], int>>);
    STATIC_REQUIRE(std::is_same_v<FieldTypes<Bits>, TypeList<unsigned, unsigned, int>>);
    STATIC_REQUIRE(std::is_same_v<FieldTypes<WithEmptyBase>, TypeList<int, std::string>>);
}

TEST_CASE("Fields says why it cannot see a type's fields", "[reduction]") {
    STATIC_REQUIRE(problem<TooMany> == FieldsProblem::too_many);
    STATIC_REQUIRE(problem<WithFieldsInBase> == FieldsProblem::has_base);
    STATIC_REQUIRE(problem<WithBaseOnly> == FieldsProblem::has_base);
    STATIC_REQUIRE(problem<NotAnAggregate> == FieldsProblem::not_an_aggregate);
    STATIC_REQUIRE(problem<std::string> == FieldsProblem::not_an_aggregate);
    STATIC_REQUIRE(problem<int> == FieldsProblem::not_an_aggregate);
}

TEST_CASE("visit_fields gives references to the fields, in their order", "[reduction]") {
    Initialised object;
    visit_fields(object, [](int& number, std::string& text) {
        number += 1;
        text += "y";
    });
    CHECK(object.number == 4);
    CHECK(object.text == "xy");
}

TEST_CASE("type_fingerprint differs between types and is equal for one", "[reduction]") {
    STATIC_REQUIRE(type_name<int>() == "int");
    STATIC_REQUIRE(type_fingerprint<int>() == type_fingerprint<int>());
    STATIC_REQUIRE(type_fingerprint<int>() != type_fingerprint<unsigned>());
    STATIC_REQUIRE(type_fingerprint<std::vector<int>>() != type_fingerprint<std::vector<long>>());
    STATIC_REQUIRE(type_fingerprint<Two>() != type_fingerprint<One>());
}
