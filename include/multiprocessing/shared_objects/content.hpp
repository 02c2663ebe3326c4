// multiprocessing/shared_objects/content.hpp
//
// How a shared object is printed: with its content, or with the reason why that cannot be seen.
// Printing waits at most a moment for the lock: you may be printing to find the reason of a
// deadlock. Floor 4. Start at shared_object_text. SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/reduction/types/type_name.hpp"
#include "multiprocessing/shared_objects/state.hpp"

namespace multiprocessing::detail {

/// Holds a shared object's lock, if it can be had within 10 milliseconds. A frozen object needs no
/// lock.
class ObjectGlance {
  public:
    explicit ObjectGlance(ObjectState& state);
    ObjectGlance(const ObjectGlance&) = delete;
    ObjectGlance& operator=(const ObjectGlance&) = delete;
    ~ObjectGlance();

    /// Returns why the content cannot be seen. Empty: it can.
    [[nodiscard]] std::string_view obstacle() const noexcept { return obstacle_; }

  private:
    ObjectState& state_;
    bool holds_ = false;
    std::string_view obstacle_;
};

/// Returns `<Shared object at 0x7f…; in use>`, for an object whose content cannot be seen.
std::string hidden_object_text(const ObjectState& state, std::string_view obstacle);

/// Returns `<Shared [1, 2, 3]>`. For an object that has no text it gives the size or the type.
template <class T>
std::string shared_object_text(ObjectState& state) {
    const ObjectGlance glance(state);
    if (!glance.obstacle().empty()) return hidden_object_text(state, glance.obstacle());
    std::string text("<Shared ");
    const T& object = *static_cast<const T*>(state.content());
    if constexpr (is_printable<T>()) {
        append_repr(text, object);
    } else if constexpr (container_like<T>) {
        text.append("size=").append(std::to_string(object.size()));
    } else {
        text.append("<").append(type_name<T>()).append(" object>");
    }
    return text + ">";
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/shared_objects/content.ipp"
#endif
