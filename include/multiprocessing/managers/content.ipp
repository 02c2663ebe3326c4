// multiprocessing/managers/content.ipp
//
// A short look at a container, and what is printed instead of its items: see content.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/managers/content.hpp"

#include <chrono>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE Glance::Glance(ContainerState& state)
    : lock_(state.lock),
      is_down_(state.manager_state().is_down.load(std::memory_order_acquire) != 0),
      // keep: if a killed holder has left wrong counts, the next ContainerLock counts again.
      holds_(!is_down_ &&
             lock_.acquire(Deadline(Timeout(std::chrono::milliseconds(10))), Abandoned::keep)) {}

MULTIPROCESSING_INLINE Glance::~Glance() {
    try {
        if (holds_) lock_.release();
    } catch (...) {
        // Not possible: this thread holds it.
    }
}

MULTIPROCESSING_INLINE std::string_view Glance::obstacle() const noexcept {
    return is_down_ ? "its manager was shut down" : holds_ ? "" : "in use";
}

MULTIPROCESSING_INLINE std::string unseen_text(std::string_view proxy, std::string_view typeid_name,
                                               const void* object, std::string_view why) {
    std::string text("<");
    text.append(proxy).append(" object, typeid '").append(typeid_name).append("' at ");
    return text.append(address_text(object)).append("; ").append(why).append(">");
}

MULTIPROCESSING_INLINE std::string size_text(std::string_view proxy, std::size_t size) {
    return "<" + std::string(proxy) + " size=" + std::to_string(size) + ">";
}

}  // namespace multiprocessing::detail
