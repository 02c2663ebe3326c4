// reduction/archive/payload.hpp: messages in the heap, and the handles in them.
// SPDX-License-Identifier: MIT
#include <multiprocessing/reduction.hpp>

#include <string>
#include <vector>

#include "tests/catch.hpp"

namespace mp = multiprocessing;
using namespace multiprocessing::detail;

namespace {

struct Object : SharedObject {
    Object() : SharedObject(ObjectKind::plain) {}
};

/// A public handle, as Lock or Queue will be.
class Shared {
  public:
    Shared() : handle_(make_shared_object<Object>().any()) {}
    [[nodiscard]] const AnyHandle& shared_handle() const { return handle_; }
    static Shared from_shared_handle(AnyHandle handle) { return Shared(std::move(handle)); }
    [[nodiscard]] std::uint32_t references() const { return handle_.object()->references.load(); }
    friend bool operator==(const Shared&, const Shared&) = default;

  private:
    explicit Shared(AnyHandle handle) : handle_(std::move(handle)) {}
    AnyHandle handle_;
};

struct WithHandles {
    std::string name;
    std::vector<Shared> all;
    std::optional<Shared> one;
};

}  // namespace

TEST_CASE("A payload holds what an archive wrote", "[reduction]") {
    for (const std::size_t size : {0u, 1u, 7u, 8u, 9u, 100'000u}) {
        OutputArchive output;
        output(std::string(size, 'x'));
        const Payload payload(make_payload(output));
        PayloadReader reader(payload.get());
        CHECK(reader.archive().read<std::string>() == std::string(size, 'x'));
        CHECK(reader.archive().remaining() == 0);
    }
}

TEST_CASE("Handles travel in messages, anywhere in a value", "[reduction]") {
    STATIC_REQUIRE(handle_type<Shared>);
    STATIC_REQUIRE(mp::picklable<WithHandles>);
    const Shared first;
    const Shared second;
    {
        OutputArchive output;
        output(WithHandles{"n", {first, second, first}, second});
        CHECK(first.references() == 3);
        const Payload payload(make_payload(output));
        CHECK(output.handles().empty());
        CHECK(first.references() == 3);
        CHECK(PayloadView(payload.get()).handles().size() == 4);
        PayloadReader reader(payload.get());
        const auto received = reader.archive().read<WithHandles>();
        CHECK(received.all == std::vector<Shared>{first, second, first});
        CHECK(received.one == second);
        CHECK(first.references() == 5);
    }
    CHECK(first.references() == 1);
    CHECK(second.references() == 1);
}

TEST_CASE("A message that nobody reads drops its handles", "[reduction]") {
    const Shared shared;
    OutputArchive output;
    output(shared);
    void* const payload = make_payload(output);
    CHECK(shared.references() == 2);
    destroy_payload(payload);
    CHECK(shared.references() == 1);
    output.clear();
    output(shared);
    output.clear();
    CHECK(shared.references() == 1);
}

TEST_CASE("A handle that did not come along is an error", "[reduction]") {
    const Shared shared;
    OutputArchive output;
    output(shared);
    CHECK_THROWS_AS(InputArchive(output.view()).read<Shared>(), mp::ProcessError);
}
