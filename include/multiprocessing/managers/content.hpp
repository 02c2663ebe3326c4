// multiprocessing/managers/content.hpp
//
// What is printed of a manager's objects: their first items, and why there are none where that is
// so. It waits for nobody: whoever prints may be looking for the reason of a deadlock. Floor 6.
// Start at Glance. SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/managers/container.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// Holds a container's lock, if it can be had within a moment: changes take microseconds, but one
/// that runs a function of the program's may take for ever.
class Glance {
  public:
    explicit Glance(ContainerState& state)
        : lock_(state.lock),
          is_down_(state.manager_state().is_down.load(std::memory_order_acquire) != 0),
          // keep: what a killed holder left to count anew, the next one who changes something does.
          holds_(!is_down_ &&
                 lock_.acquire(Deadline(Timeout(std::chrono::milliseconds(10))), Abandoned::keep)) {
    }
    Glance(const Glance&) = delete;
    Glance& operator=(const Glance&) = delete;
    ~Glance() {
        try {
            if (holds_) lock_.release();
        } catch (...) {
            // Not possible: this thread holds it.
        }
    }

    /// Returns why the content cannot be seen; empty: it can.
    [[nodiscard]] std::string_view obstacle() const noexcept {
        return is_down_ ? "its manager was shut down" : holds_ ? "" : "in use";
    }

  private:
    LockWord& lock_;
    bool is_down_;
    bool holds_;
};

/// Returns what Python prints of a proxy whose object does not answer.
inline std::string unseen_text(std::string_view proxy, std::string_view typeid_name,
                               const void* object, std::string_view why) {
    std::string text("<");
    text.append(proxy).append(" object, typeid '").append(typeid_name).append("' at ");
    return text.append(address_text(object)).append("; ").append(why).append(">");
}

/// Returns what is left to print of a container whose items have no text.
inline std::string size_text(std::string_view proxy, std::size_t size) {
    return "<" + std::string(proxy) + " size=" + std::to_string(size) + ">";
}

}  // namespace multiprocessing::detail
