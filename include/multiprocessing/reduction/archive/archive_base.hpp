// multiprocessing/reduction/archive/archive_base.hpp
//
// What the writing and the reading archive have in common: how they carry descriptors, and how they
// walk through deeply nested values. Floor 2. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

#include "multiprocessing/detail/requirements.hpp"

namespace cereal {
/// A base class of both archives. Because it is in this namespace, argument-dependent lookup finds
/// the functions that cereal has for its own types, among others for pointers to polymorphic
/// classes.
struct MultiprocessingArchive {};
}  // namespace cereal

namespace multiprocessing::detail {

/// How an archive carries open file descriptors. A channel that can carry them (a Unix socket)
/// gives one to the archive.
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

/// Walks through nested values, however deep they are. When the stack is nearly used up, the walk
/// goes on in a new thread that has a large stack, and this thread waits for it.
class DeepWalk {
  public:
    /// Calls `step()`, which walks on. @throws ValueError when that takes more than 1 GiB of stack
    template <class Step>
    void descend(Step step) {
        const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
        if (first_ == 0) first_ = here;
        // Most walks are short. Only a long one looks up where the stack ends.
        if (first_ <= here || first_ - here < short_walk || !is_nearly_used_up(here)) {
            step();
        } else {
            go_on_elsewhere(&step, [](void* known) { (*static_cast<Step*>(known))(); });
        }
    }

  private:
    static constexpr std::uintptr_t short_walk = std::uintptr_t{32} << 10;
    static constexpr std::uintptr_t reserve = std::uintptr_t{64} << 10;
    static constexpr std::size_t new_stack = std::size_t{64} << 20;
    static constexpr int most_threads = 16;

    struct Task;

    [[nodiscard, gnu::cold]] bool is_nearly_used_up(std::uintptr_t here) const noexcept;

    [[gnu::cold]] void go_on_elsewhere(void* step, void (*call)(void*));
    static void* run(void* known) noexcept;
    static void run_in_thread(Task& task);

    std::uintptr_t first_ = 0;  // where the walk in this thread began; 0: it has not
    int threads_ = 0;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/reduction/archive/archive_base.ipp"
#endif
