// multiprocessing/reduction/archive/tracking.hpp
//
// What an archive remembers within one message: shared objects, the names of polymorphic classes,
// virtual bases, deferred fields. Floor 2. Start at Tracking.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// An object's address and type. The address is not enough: an object and its first member have the
/// same one.
struct ObjectKey {
    const void* address;
    const void* type;
    friend bool operator==(const ObjectKey&, const ObjectKey&) = default;

    struct Hash {
        std::size_t operator()(const ObjectKey& key) const noexcept {
            return (reinterpret_cast<std::uintptr_t>(key.address) >> 3) * 0x9e3779b97f4a7c15 +
                   reinterpret_cast<std::uintptr_t>(key.type);
        }
    };
};

/// The tables of an archive. It is a template only so that a translation unit compiles their code
/// (which takes a quarter of a second) when one of its messages needs them, and not otherwise.
template <class Unused>
struct Tracking {
    using Shared = std::pair<std::uint32_t, std::shared_ptr<const void>>;
    using Received = std::pair<std::shared_ptr<void>, const void*>;

    std::unordered_map<ObjectKey, Shared, ObjectKey::Hash> shared;  // written
    std::unordered_map<std::uint32_t, Received> received;           // read
    std::unordered_map<std::string, std::uint32_t> polymorphic;
    std::unordered_map<std::uint32_t, std::string> polymorphic_names;
    std::unordered_map<ObjectKey, bool, ObjectKey::Hash> virtual_bases;
    std::vector<std::function<void()>> deferments;
};

/// Makes its Tracking when that is first needed.
class LazyTracking {
  public:
    template <class T = void>
    Tracking<T>& get() {
        if (!tracking_) {
            tracking_ = Pointer(new Tracking<T>(),
                                [](void* tracking) { delete static_cast<Tracking<T>*>(tracking); });
        }
        return *static_cast<Tracking<T>*>(tracking_.get());
    }
    void reset() noexcept { tracking_.reset(); }
    [[nodiscard]] explicit operator bool() const noexcept { return tracking_ != nullptr; }

    /// Runs what was deferred. That may defer more, which runs too.
    template <class T = void>
    void run_deferments() {
        if (!tracking_) return;
        auto& deferments = get<T>().deferments;
        for (std::size_t i = 0; i < deferments.size(); ++i) {
            auto deferment = std::move(deferments[i]);
            deferment();
        }
        deferments.clear();
    }

  private:
    using Pointer = std::unique_ptr<void, void (*)(void*)>;
    Pointer tracking_{nullptr, nullptr};
};

}  // namespace multiprocessing::detail
