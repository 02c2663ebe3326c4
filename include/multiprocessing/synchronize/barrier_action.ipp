// multiprocessing/synchronize/barrier_action.ipp
//
// How a process finds a barrier's action in the program's image: see barrier_action.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/synchronize/barrier_action.hpp"

#include <link.h>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

/// Where the program's own image lies in this process.
struct ProgramImage {
    std::uintptr_t base = 0;
    std::uintptr_t begin = UINTPTR_MAX;
    std::uintptr_t end = 0;
};

MULTIPROCESSING_INLINE ProgramImage program_image() noexcept {
    ProgramImage image;
    // The program comes first, see dl_iterate_phdr(3). A result other than 0 ends the walk.
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

MULTIPROCESSING_INLINE void PortableAction::operator()() const {
    const std::uintptr_t base = program_image().base;
    reinterpret_cast<Runner>(base + runner)(base + function);
}

MULTIPROCESSING_INLINE PortableAction
PortableAction::in_program(Runner run, const std::uintptr_t* function) noexcept {
    const ProgramImage image = program_image();
    PortableAction action;
    if (function != nullptr && (*function < image.begin || *function >= image.end)) return action;
    const auto address = reinterpret_cast<std::uintptr_t>(run);
    if (address < image.begin || address >= image.end) return action;
    action.runner = address - image.base;
    action.function = function == nullptr ? 0 : *function - image.base;
    return action;
}

}  // namespace multiprocessing::detail
