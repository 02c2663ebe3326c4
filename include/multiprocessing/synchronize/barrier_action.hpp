// multiprocessing/synchronize/barrier_action.hpp
//
// What a barrier's last arriver runs. Under fork a child has the callable itself. Elsewhere it
// finds the code: a function or a stateless functor of the program is at the same distance from the
// program's beginning in every process that runs it. Floor 2. SPDX-License-Identifier: MIT
#pragma once

#include <link.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

/// Where the program's own image lies in this process.
struct ProgramImage {
    std::uintptr_t base = 0;
    std::uintptr_t begin = UINTPTR_MAX;
    std::uintptr_t end = 0;
};

inline ProgramImage program_image() noexcept {
    ProgramImage image;
    // The program comes first, see dl_iterate_phdr(3); not 0 ends the walk.
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) noexcept {
            auto& found = *static_cast<ProgramImage*>(data);
            found.base = info->dlpi_addr;
            for (std::size_t i = 0; i < info->dlpi_phnum; ++i) {
                const auto& segment = info->dlpi_phdr[i];
                if (segment.p_type != PT_LOAD) continue;
                const std::uintptr_t start = found.base + segment.p_vaddr;
                if (start < found.begin) found.begin = start;
                if (start + segment.p_memsz > found.end) found.end = start + segment.p_memsz;
            }
            return 1;
        },
        &image);
    return image;
}

/// A call that every process of the family can make: two places in the program's image, 0 for none.
struct PortableAction {
    using Runner = void (*)(std::uintptr_t function);

    std::uint64_t runner = 0;
    std::uint64_t function = 0;  // what the runner calls, when it is not a part of the runner

    /// Returns the action for `f`; none if there is more to it than code of the program.
    template <class F>
    static PortableAction of(const F& f) noexcept {
        const ProgramImage image = program_image();
        PortableAction action;
        std::uintptr_t function = image.base;
        Runner run = nullptr;
        if constexpr (std::is_pointer_v<F> && std::is_function_v<std::remove_pointer_t<F>>) {
            run = [](std::uintptr_t address) { reinterpret_cast<F>(address)(); };
            function = reinterpret_cast<std::uintptr_t>(f);
            if (function < image.begin || function >= image.end) return action;
        } else if constexpr (std::is_empty_v<F> && std::is_default_constructible_v<F>) {
            run = [](std::uintptr_t) { F{}(); };
        }
        const auto address = reinterpret_cast<std::uintptr_t>(run);
        if (address < image.begin || address >= image.end) return action;
        return {address - image.base, function - image.base};
    }

    [[nodiscard]] explicit operator bool() const noexcept { return runner != 0; }
    void operator()() const {
        const std::uintptr_t base = program_image().base;
        reinterpret_cast<Runner>(base + runner)(base + function);
    }
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
