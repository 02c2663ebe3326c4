// multiprocessing/reduction/archive_base.hpp
//
// What the writing and the reading archive have in common: how they carry descriptors, and when
// they refuse to go deeper. Floor 2. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "multiprocessing/errors.hpp"

namespace cereal {
/// Being derived from a class of this namespace lets argument-dependent lookup find the functions
/// that cereal has for its own types, for pointers to polymorphic classes among others.
struct MultiprocessingArchive {};
}  // namespace cereal

namespace multiprocessing::detail {

/// How an archive carries open file descriptors, given to it by a channel that can (a Unix socket).
class DescriptorTransport {
  public:
    /// Returns whether one more can be attached.
    [[nodiscard]] virtual bool has_room() const noexcept { return true; }
    /// Sends `fd` along. @returns the number under which the receiver finds it
    virtual std::uint64_t attach(int fd) = 0;
    /// Takes the descriptor that came under `number`. @returns one that the caller owns
    virtual int take(std::uint64_t number) = 0;

  protected:
    ~DescriptorTransport() = default;
};

/// Ends a walk through nested values that would overflow the stack, be it of a list of a million
/// unique_ptrs or of a message made to do so.
class NestingGuard {
  public:
    /// @throws ValueError past 4 MiB of stack: half of what a thread has by default
    void check() {
        const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
        if (first_ == 0) first_ = here;
        if (first_ > here && first_ - here > stack_limit) {
            throw ValueError(
                "the object's pointers or containers are nested too deeply to travel: keep the "
                "nodes in one vector and refer to them by index");
        }
    }

  private:
    static constexpr std::uintptr_t stack_limit = std::uintptr_t{4} << 20;
    std::uintptr_t first_ = 0;
};

}  // namespace multiprocessing::detail
