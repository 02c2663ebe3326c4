// multiprocessing/shared_objects/content.ipp
//
// The part of printing a shared object that does not depend on its type: see content.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/shared_objects/content.hpp"

#include <chrono>
#include <string>
#include <string_view>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE ObjectGlance::ObjectGlance(ObjectState& state) : state_(state) {
    if (state_.is_frozen()) return;
    try {
        holds_ = state_.acquire(true, std::chrono::milliseconds(10));
        if (!holds_) obstacle_ = "in use";
    } catch (const AbandonedError&) {
        obstacle_ = "abandoned";  // half changed: its pointers may lead anywhere
    }
}

MULTIPROCESSING_INLINE ObjectGlance::~ObjectGlance() {
    try {
        if (holds_) state_.unlock();
    } catch (...) {
        // Not possible: this thread holds the lock.
    }
}

MULTIPROCESSING_INLINE std::string hidden_object_text(const ObjectState& state,
                                                      std::string_view obstacle) {
    std::string text("<Shared ");
    text.append("object at ").append(address_text(&state));
    text.append("; ").append(obstacle);
    return text + ">";
}

}  // namespace multiprocessing::detail
