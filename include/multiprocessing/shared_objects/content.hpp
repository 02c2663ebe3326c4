// multiprocessing/shared_objects/content.hpp
//
// What is printed of a shared object: what it holds, or why that cannot be seen. It waits for
// nobody: whoever prints may be looking for the reason of a deadlock. Floor 4. Start at
// shared_object_text. SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/reduction/type_name.hpp"
#include "multiprocessing/shared_objects/state.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing::detail {

/// Holds a shared object's lock, if it can be had within a moment. A frozen one needs none.
class ObjectGlance {
  public:
    explicit ObjectGlance(ObjectState& state) : state_(state) {
        if (state_.is_frozen()) return;
        try {
            holds_ = state_.acquire(Deadline(Timeout(std::chrono::milliseconds(10))));
            if (!holds_) obstacle_ = "in use";
        } catch (const AbandonedError&) {
            obstacle_ = "abandoned";  // half changed: its pointers may lead anywhere
        }
    }
    ObjectGlance(const ObjectGlance&) = delete;
    ObjectGlance& operator=(const ObjectGlance&) = delete;
    ~ObjectGlance() {
        try {
            if (holds_) state_.unlock();
        } catch (...) {
            // Not possible: this thread holds it.
        }
    }

    /// Returns why the content cannot be seen; empty: it can.
    [[nodiscard]] std::string_view obstacle() const noexcept { return obstacle_; }

  private:
    ObjectState& state_;
    bool holds_ = false;
    std::string_view obstacle_;
};

/// Returns `<Shared [1, 2, 3]>`, and of what has no text its size or its type.
template <class T>
std::string shared_object_text(ObjectState& state) {
    const ObjectGlance glance(state);
    std::string text("<Shared ");
    const T& object = *static_cast<const T*>(state.content());
    if (!glance.obstacle().empty()) {
        text.append("object at ").append(address_text(&state));
        text.append("; ").append(glance.obstacle());
    } else if constexpr (is_printable<T>()) {
        append_repr(text, object);
    } else if constexpr (container_like<T>) {
        text.append("size=").append(std::to_string(object.size()));
    } else {
        text.append("<").append(type_name<T>()).append(" object>");
    }
    return text + ">";
}

}  // namespace multiprocessing::detail
