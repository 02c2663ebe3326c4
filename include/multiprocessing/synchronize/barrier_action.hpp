// multiprocessing/synchronize/barrier_action.hpp
//
// The action that the last party to come to a barrier runs. A forked child has the callable itself.
// Other processes find the code: a function or a stateless functor of the program is at the same
// distance from the program's beginning in every process that runs it. Floor 2.
// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// A call that every process of the family can make: two places in the program's image, 0 for none.
struct PortableAction {
    using Runner = void (*)(std::uintptr_t function);

    std::uint64_t runner = 0;
    std::uint64_t function = 0;  // what the runner calls, when it is not a part of the runner

    /// Returns the action for `f`; none if `f` is more than code of the program.
    template <class F>
    static PortableAction of(const F& f) noexcept {
        if constexpr (std::is_pointer_v<F> && std::is_function_v<std::remove_pointer_t<F>>) {
            const auto function = reinterpret_cast<std::uintptr_t>(f);
            return in_program([](std::uintptr_t address) { reinterpret_cast<F>(address)(); },
                              &function);
        } else if constexpr (std::is_empty_v<F> && std::is_default_constructible_v<F>) {
            return in_program([](std::uintptr_t) { F{}(); }, nullptr);
        } else {
            return {};
        }
    }

    [[nodiscard]] explicit operator bool() const noexcept { return runner != 0; }
    void operator()() const;

  private:
    /// Returns the action that consists of these addresses in this process; none if one of them is
    /// not in the program's image.
    /// @param function null when the runner needs none
    static PortableAction in_program(Runner run, const std::uintptr_t* function) noexcept;
};

/// The callable itself, where this process has it.
using LocalAction = std::shared_ptr<const std::function<void()>>;

template <class F>
LocalAction make_local_action(F f) {
    if constexpr (std::is_null_pointer_v<F>) {
        return nullptr;
    } else {
        if constexpr (std::is_constructible_v<bool, const F&> && !std::is_empty_v<F>) {
            if (!static_cast<bool>(f)) return nullptr;  // an empty std::function, a null pointer
        }
        return std::make_shared<const std::function<void()>>(std::move(f));
    }
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/synchronize/barrier_action.ipp"
#endif
