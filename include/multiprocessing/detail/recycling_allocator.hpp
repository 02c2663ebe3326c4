// multiprocessing/detail/recycling_allocator.hpp
//
// An allocator for std::allocate_shared that keeps a few blocks for the next objects. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <new>

namespace multiprocessing::detail {

/// Allocates objects of one type. In a process that has slept, the first call of malloc finds its
/// code and data in no cache and takes a microsecond or two, as much as all the rest of a small
/// call; what lies here is found by one look at memory that is needed anyway.
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
                // acquire: what the one who put it there did with the object before.
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
