// multiprocessing/reduction/functions/images.ipp
//
// How the loaded ELF files are found and told apart: see images.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/reduction/functions/images.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/joined.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

/// Returns the 64-bit FNV-1a hash of the bytes.
MULTIPROCESSING_INLINE std::uint64_t hash_bytes(const void* bytes, std::size_t size) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (std::size_t i = 0; i < size; ++i) {
        hash = (hash ^ static_cast<const unsigned char*>(bytes)[i]) * 0x100000001b3;
    }
    return hash;
}

/// Returns a hash of the build id in a segment of notes, or 0 when there is none. See elf(5).
MULTIPROCESSING_INLINE std::uint64_t hash_build_id(const char* note, std::size_t size) noexcept {
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

/// Describes an image from what the loader knows, which is all but the path.
MULTIPROCESSING_INLINE Image describe(const dl_phdr_info& info) {
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
    if (image.build_id == 0) {  // linked with --build-id=none: the sizes of its segments must do
        image.build_id = hash_bytes(info.dlpi_phdr, info.dlpi_phnum * sizeof(ElfW(Phdr)));
    }
    return image;
}

MULTIPROCESSING_INLINE const Image* describe_main_image() {
    auto* const found = new Image{};
    for_each_image([found](const dl_phdr_info& info) {
        *found = describe(info);
        return true;
    });
    return found;
}

/// Returns how many libraries this process has unloaded so far. Other libraries may have their
/// addresses now.
MULTIPROCESSING_INLINE unsigned long long count_unloads() {
    unsigned long long unloads = 0;
    for_each_image([&unloads](const dl_phdr_info& info) {
        unloads = info.dlpi_subs;
        return true;
    });
    return unloads;
}

MULTIPROCESSING_INLINE std::string mapped_file(std::uintptr_t address) {
    const StandardStreamsTaken taken;
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

// Libraries seen so far. The list only grows, and has no lock, which a fork could leave locked.
inline constinit std::atomic<Image*> known_images{nullptr};

/// Puts a library that was just seen on the list.
MULTIPROCESSING_INLINE const Image& remember(Image&& image) {
    auto* const known = new Image(std::move(image));
    known->next = known_images.load(std::memory_order_relaxed);
    // release: pairs with the acquire in find_known, which walks the list.
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

MULTIPROCESSING_INLINE const Image& image_of(std::uintptr_t address) {
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
    // An empty path would be the program.
    if (found.path.empty()) {
        throw RuntimeError(
            joined({"a function of the library ", name,
                    " cannot be sent to another process: where it lies, only "
                    "/proc/self/maps tells; mount /proc, or load it by its full path"}));
    }
    return remember(std::move(found));
}

MULTIPROCESSING_INLINE const Image& image_at(const std::string& path) {
    if (path.empty()) return main_image();
    if (const Image* known = find_known([&path](const Image& i) { return i.path == path; })) {
        return *known;
    }
    // The library is not closed again, because a function of it is in use from now on.
    void* const library = ::dlopen(path.c_str(), RTLD_NOW);
    link_map* map = nullptr;
    if (library == nullptr || ::dlinfo(library, RTLD_DI_LINKMAP, &map) != 0) {
        const char* const reason = ::dlerror();
        throw RuntimeError(joined({"a function of the library ", path,
                                   " cannot be called, because it cannot be loaded here: ",
                                   reason != nullptr ? reason : "unknown reason"}));
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
