// multiprocessing/detail/recycling_allocator.hpp
//
// An allocator for std::allocate_shared. It keeps a few blocks for the next objects. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <new>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// Allocates objects of one type. In a process that has slept, malloc's code and data are in no
/// cache. Its first call then takes a microsecond or two, as much as all the rest of a small call.
/// A block that is kept here is found by one look at memory that is needed anyway.
template <class T>
class RecyclingAllocator {
  public:
    using value_type = T;

    RecyclingAllocator() = default;
    template <class Other>
    explicit RecyclingAllocator(const RecyclingAllocator<Other>&) noexcept {}

    [[nodiscard]] T* allocate(std::size_t count) {
        if (count == 1) {
            for (std::atomic<void*>& place : spare) {
                if (place.load(std::memory_order_relaxed) == nullptr) continue;
                // acquire: pairs with the release in deallocate. What the thread that put the block
                // there did with the object comes before.
                if (void* const block = place.exchange(nullptr, std::memory_order_acquire)) {
                    return static_cast<T*>(block);
                }
            }
        }
        return static_cast<T*>(::operator new(count * sizeof(T), alignment));
    }
    void deallocate(T* block, std::size_t count) noexcept {
        if (count == 1) {
            for (std::atomic<void*>& place : spare) {
                void* none = nullptr;
                // release: see allocate.
                if (place.load(std::memory_order_relaxed) == nullptr &&
                    place.compare_exchange_strong(none, block, std::memory_order_release)) {
                    return;
                }
            }
        }
        ::operator delete(block, alignment);
    }

    template <class Other>
    bool operator==(const RecyclingAllocator<Other>&) const noexcept {
        return true;
    }

  private:
    static constexpr std::align_val_t alignment{64};
    static inline constinit std::array<std::atomic<void*>, 16> spare{};
};

}  // namespace multiprocessing::detail
