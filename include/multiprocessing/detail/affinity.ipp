// multiprocessing/detail/affinity.ipp
//
// How affinity masks of any size are read and written: see affinity.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/affinity.hpp"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/system.hpp"

namespace multiprocessing::detail {

/// An affinity mask with room for so many cores.
class CoreMask {
  public:
    explicit CoreMask(std::size_t cores) : words_(CPU_ALLOC_SIZE(cores) / sizeof(cpu_set_t) + 1) {}

    [[nodiscard]] cpu_set_t* get() noexcept { return words_.data(); }
    [[nodiscard]] std::size_t size() const noexcept { return words_.size() * sizeof(cpu_set_t); }
    [[nodiscard]] int end() const noexcept { return static_cast<int>(8 * size()); }
    [[nodiscard]] bool has(int core) noexcept {
        return CPU_ISSET_S(static_cast<std::size_t>(core), size(), get()) != 0;
    }
    void add(int core) noexcept { CPU_SET_S(static_cast<std::size_t>(core), size(), get()); }

  private:
    std::vector<cpu_set_t> words_;  // all zero
};

MULTIPROCESSING_INLINE std::vector<int> cores_of_this_thread() {
    // As in affinity_cpu_count: the kernel refuses a mask that is smaller than its own.
    for (std::size_t room = 1024; room <= 1 << 20; room *= 2) {
        CoreMask mask(room);
        if (::sched_getaffinity(0, mask.size(), mask.get()) == 0) {
            std::vector<int> cores;
            for (int core = 0; core < mask.end(); ++core) {
                if (mask.has(core)) cores.push_back(core);
            }
            return cores;
        }
        if (errno != EINVAL) break;
    }
    return {};
}

MULTIPROCESSING_INLINE void stay_on_cores(const std::vector<int>& cores) {
    if (cores.empty()) throw_system_error("sched_setaffinity", EINVAL);
    CoreMask mask(static_cast<std::size_t>(*std::ranges::max_element(cores)) + 1);
    for (const int core : cores) mask.add(core);
    checked(::sched_setaffinity(0, mask.size(), mask.get()), "sched_setaffinity");
}

}  // namespace multiprocessing::detail
