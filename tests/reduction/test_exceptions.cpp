// reduction/{exceptions,standard_exceptions}.hpp: exceptions arrive as their own type, with their
// text.
// SPDX-License-Identifier: MIT
#include <multiprocessing/reduction/exceptions/exceptions.hpp>

#include <algorithm>
#include <any>
#include <array>
#include <barrier>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <regex>
#include <string>
#include <system_error>
#include <thread>
#include <variant>
#include <vector>

#include "tests/catch.hpp"

namespace mp = multiprocessing;
using namespace multiprocessing::detail;

namespace {

struct Known : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct WithCode : std::runtime_error {
    WithCode() : std::runtime_error("with a code") {}
    explicit WithCode(int c) : std::runtime_error("with a code"), code(c) {}
    int code = 0;
    template <class Archive>
    void serialize(Archive& archive) {
        archive(code);
    }
};
struct Plain {
    int number;
    std::string text;
};
struct Unknown : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct FailsToSave : std::runtime_error {
    FailsToSave() : std::runtime_error("the text is there") {}
    template <class Archive>
    void save(Archive& archive) const {
        archive(1);
        throw std::runtime_error("save failed");
    }
    template <class Archive>
    void load(Archive&) {}
};

const bool registered = mp::register_exception<Known>() && mp::register_exception<WithCode>() &&
                        mp::register_exception<Plain>() && mp::register_exception<FailsToSave>() &&
                        mp::register_exception<Known>();

std::exception_ptr sent(const std::exception_ptr& error) {
    OutputArchive output;
    save_exception(output, error, "Worker-1", 42);
    for (std::size_t size = 0; size < output.size(); ++size) {
        const std::vector<std::byte> cut(output.view().begin(),
                                         output.view().begin() + std::ptrdiff_t(size));
        InputArchive input(cut);
        CHECK_THROWS_AS(load_exception(input), mp::ProcessError);
    }
    InputArchive input(output.view());
    const auto received = load_exception(input);
    CHECK(input.remaining() == 0);
    return received;
}

template <class Function>
std::exception_ptr thrown_by(Function function) {
    try {
        function();
    } catch (...) {
        return std::current_exception();
    }
    FAIL("nothing was thrown");
    return nullptr;
}

/// Returns what arrives as a remote error.
mp::RemoteError remote(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(sent(error));
    } catch (const mp::RemoteError& received) {
        return received;
    }
}

/// The exception arrives with its exact type and text; returns it.
template <class E>
E arrives(const E& error) {
    try {
        std::rethrow_exception(sent(std::make_exception_ptr(error)));
    } catch (const E& received) {
        INFO(typeid(received).name());
        CHECK((typeid(received) == typeid(E)));
        CHECK(std::string(received.what()) == error.what());
        return received;
    }
}

}  // namespace

TEST_CASE("The standard exceptions arrive as themselves", "[reduction]") {
    CHECK(registered);
    arrives(std::exception());
    arrives(std::logic_error("a"));
    arrives(std::invalid_argument("a"));
    arrives(std::domain_error("a"));
    arrives(std::length_error("a"));
    arrives(std::out_of_range("a"));
    arrives(std::runtime_error(""));
    arrives(std::range_error("a"));
    arrives(std::overflow_error("a"));
    arrives(std::underflow_error("a"));
    arrives(std::bad_alloc());
    arrives(std::bad_array_new_length());
    arrives(std::bad_cast());
    arrives(std::bad_typeid());
    arrives(std::bad_exception());
    arrives(std::bad_function_call());
    arrives(std::bad_weak_ptr());
    arrives(std::bad_variant_access());
    arrives(std::bad_optional_access());
    arrives(std::bad_any_cast());
}

TEST_CASE("system_error and its children arrive with their code", "[reduction]") {
    const std::error_code code(ENOENT, std::system_category());
    CHECK(arrives(std::system_error(code, "open")).code() == code);
    CHECK(arrives(std::system_error(code)).code() == code);
    CHECK(arrives(std::system_error(std::make_error_code(std::errc::timed_out), "a: b")).code() ==
          std::errc::timed_out);
    CHECK(arrives(std::ios_base::failure("a")).code() == std::io_errc::stream);
    const auto full = arrives(std::filesystem::filesystem_error("copy", "/a", "/b", code));
    CHECK(full.path1() == "/a");
    CHECK(full.path2() == "/b");
    CHECK(full.code() == code);
    arrives(std::filesystem::filesystem_error("copy", "/a", code));
    arrives(std::filesystem::filesystem_error("copy", code));
}

TEST_CASE("A stream's own exception arrives as ios_base::failure", "[reduction]") {
    const auto error = thrown_by([] {
        std::ifstream file;
        file.exceptions(std::ios::failbit);
        file.open("/nonexistent/file");
    });
    CHECK_THROWS_AS(std::rethrow_exception(sent(error)), std::ios_base::failure);
}

TEST_CASE("regex_error and future_error arrive with their code", "[reduction]") {
    for (const auto code : {std::regex_constants::error_brack, std::regex_constants::error_stack}) {
        CHECK(arrives(std::regex_error(code)).code() == code);
    }
    for (const auto code :
         {std::future_errc::broken_promise, std::future_errc::future_already_retrieved,
          std::future_errc::promise_already_satisfied, std::future_errc::no_state}) {
        CHECK(arrives(std::future_error(code)).code() == code);
    }
}

TEST_CASE("The library's exceptions arrive with their fields", "[reduction]") {
    arrives(mp::ProcessError("a"));
    arrives(mp::AuthenticationError("a"));
    arrives(mp::TimeoutError("a"));
    arrives(mp::AbandonedError("a"));
    arrives(mp::BrokenProcessPool("a"));
    arrives(mp::EOFError("a"));
    arrives(mp::Empty());
    arrives(mp::Full("a"));
    arrives(mp::ShutDown());
    arrives(mp::BrokenBarrierError());
    arrives(mp::RuntimeError("a"));
    arrives(mp::CancelledError());
    arrives(mp::KeyError("a"));
    arrives(mp::IndexError("a"));
    arrives(mp::ValueError("a"));
    arrives(mp::TypeError("a"));
    arrives(mp::AssertionError("a"));
    CHECK(arrives(mp::BufferTooShort("abc")).message() == "abc");
    const auto lost = arrives(mp::WorkerLost("killed", -9, 77));
    CHECK(lost.exitcode() == -9);
    CHECK(lost.pid() == 77);
    const auto nested = arrives(mp::RemoteError("T", "m", "P", 5));
    CHECK(nested.type_name() == "T");
    CHECK(nested.message() == "m");
    CHECK(nested.process_name() == "P");
    CHECK(nested.pid() == 5);
}

TEST_CASE("Registered exceptions arrive as themselves", "[reduction]") {
    arrives(Known("known"));
    CHECK(arrives(WithCode(7)).code == 7);
    try {
        std::rethrow_exception(sent(std::make_exception_ptr(Plain{4, "text"})));
    } catch (const Plain& plain) {
        CHECK(plain.number == 4);
        CHECK(plain.text == "text");
    }
}

TEST_CASE("An unknown exception arrives as RemoteError with all that is known", "[reduction]") {
    const auto error = remote(std::make_exception_ptr(Unknown("what it says")));
    CHECK_THAT(error.type_name(), Catch::Matchers::ContainsSubstring("Unknown"));
    CHECK(error.message() == "what it says");
    CHECK(error.process_name() == "Worker-1");
    CHECK(error.pid() == 42);
    CHECK(remote(thrown_by([] { throw 42; })).type_name() == "int");
    CHECK(remote(thrown_by([] { throw 42; })).message() == "42");
    CHECK(remote(thrown_by([] { throw "text"; })).message() == "text");
    CHECK(remote(thrown_by([] { throw std::string("text"); })).message() == "text");
    CHECK(remote(thrown_by([] { throw std::vector<int>(); })).type_name() ==
          "std::vector<int, std::allocator<int> >");
}

TEST_CASE("An exception that cannot be written arrives as its text", "[reduction]") {
    CHECK(remote(std::make_exception_ptr(FailsToSave())).message() == "the text is there");
    struct NoText : std::exception {
        const char* what() const noexcept override { return nullptr; }
    };
    CHECK(remote(std::make_exception_ptr(NoText())).message() == "(null)");
}

TEST_CASE("Threads that meet a new category at the same moment get the same one", "[reduction]") {
    constexpr int rounds = 2000;
    constexpr int count = 4;
    std::vector<std::array<const std::error_category*, count>> found(rounds);
    std::barrier begin(count);
    std::vector<std::thread> threads;
    for (std::size_t thread = 0; thread < count; ++thread) {
        threads.emplace_back([&, thread] {
            for (int round = 0; round < rounds; ++round) {
                const std::string name = "new category " + std::to_string(round);
                begin.arrive_and_wait();
                found[static_cast<std::size_t>(round)][thread] = &category_by_name(name, 1, "text");
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    int different = 0;
    for (const auto& each : found) {
        different += std::ranges::count(each, each[0]) != count ? 1 : 0;
    }
    CHECK(different == 0);
}

TEST_CASE("A code of the program's own category arrives with its number, name and text",
          "[reduction]") {
    struct Category : std::error_category {
        const char* name() const noexcept override { return "mine"; }
        std::string message(int code) const override { return "text " + std::to_string(code); }
    };
    static const Category category;
    for (int i = 0; i < 3; ++i) {
        const auto error = arrives(std::system_error(i, category, "call"));
        CHECK(error.code().value() == i);
        CHECK(std::string(error.code().category().name()) == "mine");
        CHECK(error.code().message() == "text " + std::to_string(i));
        CHECK(error.code().category().message(77) == "mine error 77");
    }
    CHECK(arrives(std::system_error(1, category)).code().category() ==
          arrives(std::system_error(2, category)).code().category());
}

/// Throws `outer` with a runtime_error "inner" nested in it.
template <class Outer>
std::exception_ptr nest_inner_in(const Outer& outer) {
    return thrown_by([&] {
        try {
            throw std::runtime_error("inner");
        } catch (...) {
            std::throw_with_nested(outer);
        }
    });
}
/// The exception arrives as a catchable E with its text, and with what is nested in it.
template <class E>
void arrives_nested(const E& outer) {
    try {
        std::rethrow_exception(sent(nest_inner_in(outer)));
    } catch (const E& received) {
        CHECK(std::string(received.what()) == outer.what());
        CHECK_THROWS_WITH(std::rethrow_if_nested(received), "inner");
        CHECK_THROWS_AS(std::rethrow_if_nested(received), std::runtime_error);
    }
}

TEST_CASE("Nested exceptions arrive nested", "[reduction]") {
    arrives_nested(std::logic_error("outer"));
    arrives_nested(mp::ValueError("outer"));
    arrives_nested(Known("outer"));
    arrives_nested(WithCode(3));
    arrives_nested(std::system_error(ENOENT, std::generic_category(), "open"));
    arrives_nested(std::bad_alloc());
    const auto error = nest_inner_in(Unknown("outer"));
    const auto unknown = remote(error);
    CHECK_THAT(unknown.type_name(), Catch::Matchers::EndsWith("Unknown"));
    CHECK(unknown.message() == "outer (caused by std::runtime_error: inner)");
    try {
        std::rethrow_exception(sent(error));
    } catch (const mp::RemoteError& received) {
        CHECK_THROWS_WITH(std::rethrow_if_nested(received), "inner");
    }
}

TEST_CASE("A nested exception arrives as the class that std::throw_with_nested has made of it",
          "[reduction]") {
    const auto type_of = [](const std::exception_ptr& error) -> const std::type_info& {
        try {
            std::rethrow_exception(error);
        } catch (const std::exception& caught) {
            return typeid(caught);
        }
    };
    const std::exception_ptr error = thrown_by([] {
        try {
            throw std::runtime_error("inner");
        } catch (...) {
            std::throw_with_nested(std::logic_error("outer"));
        }
    });
    CHECK(type_of(sent(error)) == type_of(error));
}

TEST_CASE("A long chain of nested exceptions arrives, and as text below a depth", "[reduction]") {
    std::exception_ptr chain = std::make_exception_ptr(std::runtime_error("0"));
    for (int i = 1; i < 200; ++i) {
        chain = thrown_by([&] {
            try {
                std::rethrow_exception(chain);
            } catch (...) {
                std::throw_with_nested(std::runtime_error(std::to_string(i)));
            }
        });
    }
    OutputArchive output;
    save_exception(output, chain, "Worker-1", 42);
    InputArchive input(output.view());
    std::exception_ptr received = load_exception(input);
    int depth = 0;
    while (received != nullptr) {
        std::exception_ptr next;
        try {
            std::rethrow_exception(received);
        } catch (const std::runtime_error& error) {
            CHECK(std::string(error.what()).starts_with(std::to_string(199 - depth)));
            try {
                std::rethrow_if_nested(error);
            } catch (...) {
                next = std::current_exception();
            }
        }
        received = next;
        ++depth;
    }
    CHECK(depth == most_nested + 1);
}

TEST_CASE("describe_exception says type and text", "[reduction]") {
    CHECK(describe_exception(std::make_exception_ptr(std::runtime_error("a"))) ==
          "std::runtime_error: a");
    CHECK(describe_exception(std::make_exception_ptr(3)) == "int: 3");
    CHECK(describe_exception(nullptr) == "no exception");
}
