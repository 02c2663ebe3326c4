// multiprocessing/managers/content.hpp
//
// What is printed of a manager's objects: their first items, or the reason why there are none to
// see. It waits a moment at most: the program that prints may be looking for the cause of a
// deadlock. Floor 6. Start at Glance. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "multiprocessing/managers/container.hpp"

namespace multiprocessing::detail {

/// Holds a container's lock, if it comes free within a moment. Changes take microseconds, but one
/// that runs a function of the program's may take for ever.
class Glance {
  public:
    explicit Glance(ContainerState& state);
    Glance(const Glance&) = delete;
    Glance& operator=(const Glance&) = delete;
    ~Glance();

    /// Returns why the content cannot be seen; empty when it can.
    [[nodiscard]] std::string_view obstacle() const noexcept;

  private:
    LockWord& lock_;
    bool is_down_;
    bool holds_;
};

/// Returns what Python prints of a proxy whose object does not answer.
std::string unseen_text(std::string_view proxy, std::string_view typeid_name, const void* object,
                        std::string_view why);

/// Returns what is left to print of a container whose items have no text.
std::string size_text(std::string_view proxy, std::size_t size);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/managers/content.ipp"
#endif
