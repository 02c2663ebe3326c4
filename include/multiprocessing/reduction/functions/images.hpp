// multiprocessing/reduction/functions/images.hpp
//
// The files whose code this process runs (the program, its shared libraries): which one an address
// is in, and where each of them lies. Floor 2. Start at image_of. See dl_iterate_phdr(3).
// SPDX-License-Identifier: MIT
#pragma once

#include <link.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// A loaded ELF file. It is never destroyed: there are only as many as files were ever loaded.
struct Image {
    std::string path;        // empty: the program itself
    std::uint64_t build_id;  // a hash of it
    std::uintptr_t base;     // what the loader added to the addresses in the file
    std::uintptr_t begin;
    std::uintptr_t end;
    unsigned long long unloads;  // how many libraries had been unloaded when it was seen
    Image* next;

    [[nodiscard]] bool contains(std::uintptr_t address) const noexcept {
        return begin <= address && address < end;
    }
};

/// Calls `function(info)` for each loaded image, the program first, until it returns true.
template <class Function>
void for_each_image(Function function) {
    // An exception must not leave through the loader, which is C and holds a lock.
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) noexcept -> int {
            return (*static_cast<Function*>(data))(*info) ? 1 : 0;
        },
        &function);
}

/// Makes the description of the program's own image. See main_image.
const Image* describe_main_image();

/// Returns the program's own image.
inline const Image& main_image() {
    // Leaked: functions are sent and received also while static objects are destroyed.
    static const Image* const image = describe_main_image();
    return *image;
}

/// Returns the path of the file that is mapped at `address`. The loader cannot tell it: it knows a
/// library by the name with which it was opened, which may be relative to a directory that was the
/// current one then.
std::string mapped_file(std::uintptr_t address);

/// Returns the image whose code or data `address` is in.
/// @throws RuntimeError when it is in none, e.g. because a just-in-time compiler made it
const Image& image_of(std::uintptr_t address);

/// Returns the library of this path. Loads it when this process has not done so yet.
/// @throws RuntimeError when it cannot be loaded
const Image& image_at(const std::string& path);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/reduction/functions/images.ipp"
#endif
