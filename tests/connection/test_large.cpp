// Messages larger than what 32 bits can count.
// CTEST: LABELS once
// SPDX-License-Identifier: MIT
#include <sys/mman.h>

#include <cstring>

#include "tests/connection/support.hpp"

namespace {

/// More bytes of address space than there is memory for: a few MiB, again and again.
class Repeated {
  public:
    static constexpr std::size_t piece = std::size_t{16} << 20;

    explicit Repeated(std::size_t pieces) : size_(pieces * piece) {
        const mp::detail::Descriptor file(::memfd_create("test", MFD_CLOEXEC));
        (void)!::ftruncate(file.get(), piece);
        base_ = static_cast<std::byte*>(
            ::mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        for (std::size_t i = 0; i < pieces; ++i) {
            ::mmap(base_ + i * piece, piece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                   file.get(), 0);
        }
    }
    Repeated(const Repeated&) = delete;
    Repeated& operator=(const Repeated&) = delete;
    ~Repeated() { ::munmap(base_, size_); }

    std::span<std::byte> bytes() const { return {base_, size_}; }

  private:
    std::byte* base_;
    std::size_t size_;
};

}  // namespace

TEST_CASE("A message of more than 4 GiB arrives, and the next one after it", "[connection]") {
    if (support::sanitized) return;  // takes minutes there
    const NothingLeft check;
    const Watchdog watchdog(250);
    constexpr std::size_t size = (std::size_t{4} << 30) + 12'345;
    const Repeated out(257);
    const std::string text = pattern(Repeated::piece);
    std::memcpy(out.bytes().data(), text.data(), text.size());
    for (const bool duplex : {true, false}) {
        auto [a, b] = mp::Pipe(duplex);
        Child<mp::start_method::fork> child([&, end = &b] {
            end->send_bytes(out.bytes().first(size));
            end->send(7);
        });
        const Repeated in(257);
        REQUIRE(a.recv_bytes_into(in.bytes()) == size);
        REQUIRE(a.recv<int>() == 7);
        // A byte lost or doubled anywhere would have shifted what was written last.
        REQUIRE(std::memcmp(in.bytes().data(), text.data(), text.size()) == 0);
        REQUIRE(child.join() == 0);
    }
}
