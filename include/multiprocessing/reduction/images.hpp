// multiprocessing/reduction/images.hpp
//
// The files whose code this process runs (the program, its shared libraries): which one an address
// is in, and where one of them lies. Floor 2. Start at image_of. See dl_iterate_phdr(3).
// SPDX-License-Identifier: MIT
#pragma once

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

/// A loaded ELF file. Never destroyed: there are as many as files were ever loaded.
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

inline std::uint64_t hash_bytes(const void* bytes, std::size_t size) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    for (std::size_t i = 0; i < size; ++i) {
        hash = (hash ^ static_cast<const unsigned char*>(bytes)[i]) * 0x100000001b3;
    }
    return hash;
}

/// Returns a hash of the build id in a segment of notes, or 0 when there is none. See elf(5).
inline std::uint64_t hash_build_id(const char* note, std::size_t size) noexcept {
    const auto padded = [](std::size_t n) { return (n + 3) / 4 * 4; };
    while (size >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) head;
        std::memcpy(&head, note, sizeof(head));
        const std::size_t name_size = padded(head.n_namesz);
        const std::size_t total = sizeof(head) + name_size + padded(head.n_descsz);
        if (total > size) return 0;
        if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == sizeof(ELF_NOTE_GNU) &&
            std::memcmp(note + sizeof(head), ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) == 0) {
            return hash_bytes(note + sizeof(head) + name_size, head.n_descsz);
        }
        note += total;
        size -= total;
    }
    return 0;
}

/// Fills in all but the path from what the loader knows.
inline Image describe(const dl_phdr_info& info) {
    Image image{{}, 0, info.dlpi_addr, UINTPTR_MAX, 0, info.dlpi_subs, nullptr};
    for (std::size_t i = 0; i < info.dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = info.dlpi_phdr[i];
        const std::uintptr_t start = info.dlpi_addr + segment.p_vaddr;
        if (segment.p_type == PT_LOAD) {
            if (start < image.begin) image.begin = start;
            if (start + segment.p_memsz > image.end) image.end = start + segment.p_memsz;
        } else if (segment.p_type == PT_NOTE && image.build_id == 0) {
            image.build_id = hash_build_id(reinterpret_cast<const char*>(start), segment.p_memsz);
        }
    }
    if (image.build_id == 0) {  // linked with --build-id=none: the sizes of its parts must do
        image.build_id = hash_bytes(info.dlpi_phdr, info.dlpi_phnum * sizeof(ElfW(Phdr)));
    }
    return image;
}

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

/// Returns the program's own image.
inline const Image& main_image() {
    // Leaked: functions travel during the destruction of static objects too.
    static const Image* const image = [] {
        auto* const found = new Image{};
        for_each_image([found](const dl_phdr_info& info) {
            *found = describe(info);
            return true;
        });
        return found;
    }();
    return *image;
}

/// Returns how many libraries this process has unloaded so far: their addresses may serve again.
inline unsigned long long count_unloads() {
    unsigned long long unloads = 0;
    for_each_image([&unloads](const dl_phdr_info& info) {
        unloads = info.dlpi_subs;
        return true;
    });
    return unloads;
}

/// Returns the file that is mapped at `address`: the loader knows libraries by the name they were
/// opened with, which may be relative to a directory that was the current one then.
inline std::string mapped_file(std::uintptr_t address) {
    const auto close = [](std::FILE* file) { std::fclose(file); };
    const std::unique_ptr<std::FILE, decltype(close)> maps(std::fopen("/proc/self/maps", "re"),
                                                           close);
    char* line = nullptr;
    std::size_t size = 0;
    std::string path;
    while (maps && path.empty() && ::getline(&line, &size, maps.get()) > 0) {
        std::uintptr_t begin = 0;
        std::uintptr_t end = 0;
        if (std::sscanf(line, "%lx-%lx", &begin, &end) != 2) continue;
        const char* const slash = std::strchr(line, '/');
        if (address < begin || address >= end || slash == nullptr) continue;
        path = slash;
        path.erase(path.find_last_not_of('\n') + 1);
    }
    std::free(line);
    return path;
}

// Libraries seen so far. Only ever pushed to, without a lock, which a fork could leave locked.
inline constinit std::atomic<Image*> known_images{nullptr};

inline const Image& remember(Image&& image) {
    auto* const known = new Image(std::move(image));
    known->next = known_images.load(std::memory_order_relaxed);
    // release: pairs with the acquire of those who walk the list.
    while (!known_images.compare_exchange_weak(known->next, known, std::memory_order_release)) {
    }
    return *known;
}

/// Returns a library seen before for which `matches(image)` holds, or null.
template <class Predicate>
const Image* find_known(Predicate matches) {
    const unsigned long long unloads = count_unloads();
    for (const Image* image = known_images.load(std::memory_order_acquire); image != nullptr;
         image = image->next) {
        if (image->unloads == unloads && matches(*image)) return image;
    }
    return nullptr;
}

/// Returns the image whose code or data `address` is in.
/// @throws RuntimeError when it is in none, e.g. is made by a just-in-time compiler
inline const Image& image_of(std::uintptr_t address) {
    if (main_image().contains(address)) return main_image();
    if (const Image* known =
            find_known([address](const Image& i) { return i.contains(address); })) {
        return *known;
    }
    Image found{};
    std::string_view name;
    for_each_image([&](const dl_phdr_info& info) {
        found = describe(info);
        name = info.dlpi_name;
        return found.contains(address);
    });
    if (!found.contains(address)) {
        throw RuntimeError(
            "a function cannot be sent to another process: it is neither in the program nor in a "
            "shared library");
    }
    found.path = name.starts_with('/') ? std::string(name) : mapped_file(address);
    return remember(std::move(found));
}

/// Returns the library of this path, loading it when this process has not.
/// @throws RuntimeError when it cannot be loaded
inline const Image& image_at(const std::string& path) {
    if (path.empty()) return main_image();
    if (const Image* known = find_known([&path](const Image& i) { return i.path == path; })) {
        return *known;
    }
    // The library is not closed again: a function of it is in use from now on.
    void* const library = ::dlopen(path.c_str(), RTLD_NOW);
    link_map* map = nullptr;
    if (library == nullptr || ::dlinfo(library, RTLD_DI_LINKMAP, &map) != 0) {
        const char* const reason = ::dlerror();
        throw RuntimeError("a function of the library " + path +
                           " cannot be called, because it cannot be loaded here: " +
                           (reason != nullptr ? reason : "unknown reason"));
    }
    Image found{};
    for_each_image([&](const dl_phdr_info& info) {
        found = describe(info);
        return info.dlpi_addr == map->l_addr;
    });
    found.path = path;
    return remember(std::move(found));
}

}  // namespace multiprocessing::detail
