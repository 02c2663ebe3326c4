// multiprocessing/remote/pickle/attached.hpp
//
// What a pickle of a family refers to that is not among its bytes: blocks of the heap, which are
// the memory of large arrays, and objects such as locks and queues. Floor 9. Start at Attached.
//
// The bytes of such a pickle in a message:
//      0  u64  size of the pickle, in bytes; bit 63: something is attached
//      8       the pickle
//      …  u64  number of blocks, u64 number of objects; these and the rest only with bit 63
//      …  u64  for each block its handle, then where its bytes begin, from the object's begin on,
//      and
//              how many they are
//      …  u64  for each object its handle
// The n-th NEXT_BUFFER of the pickle is the n-th block. An object is what
// multiprocessing_cpp._taken(kind, item, n) returns. SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/reduction/archive/archive.hpp"

namespace multiprocessing::detail::pickles {

/// Bytes in the heap, which live as long as the handle.
struct Block {
    AnyHandle handle;
    std::string_view bytes;
};

/// What is attached to a pickle.
struct Attached {
    std::vector<Block> blocks;
    std::vector<AnyHandle> objects;

    [[nodiscard]] bool empty() const noexcept { return blocks.empty() && objects.empty(); }
    /// Returns how many bytes the blocks have.
    [[nodiscard]] std::size_t size() const noexcept {
        std::size_t sum = 0;
        for (const Block& block : blocks) sum += block.bytes.size();
        return sum;
    }
};

/// The module of Python, and the function in it, that a pickle names for an attached object.
inline constexpr std::string_view family_module = "multiprocessing_cpp";
inline constexpr std::string_view object_maker = "_taken";
/// The one for a memoryview of (bytes, format, shape).
inline constexpr std::string_view view_maker = "_viewed";

inline constexpr std::uint64_t has_attached = std::uint64_t{1} << 63;

/// Writes a pickle and what is attached to it to a message of the family.
template <class Archive>
void write_pickle(Archive& archive, std::string_view pickle, const Attached& attached) {
    const std::uint64_t flag = attached.empty() ? 0 : has_attached;
    archive.write_size(static_cast<std::size_t>(pickle.size() | flag));
    archive.write(pickle.data(), pickle.size());
    if (attached.empty()) return;
    archive.write_size(attached.blocks.size());
    archive.write_size(attached.objects.size());
    for (const Block& block : attached.blocks) {
        const auto* const begin = reinterpret_cast<const char*>(block.handle.object());
        archive.write_handle(block.handle);
        archive.write_size(static_cast<std::size_t>(block.bytes.data() - begin));
        archive.write_size(block.bytes.size());
    }
    for (const AnyHandle& object : attached.objects) archive.write_handle(object);
}

/// Reads what write_pickle wrote. @returns the pickle, where it lies in the message, and what is
/// attached to it
inline std::pair<std::string_view, Attached> read_pickle(InputArchive& archive) {
    const auto number = [&] {
        std::uint64_t value = 0;
        archive.read_into(&value, sizeof(value));
        return value;
    };
    const std::uint64_t head = number();
    const auto size = static_cast<std::size_t>(head & ~has_attached);
    std::pair<std::string_view, Attached> read{
        {reinterpret_cast<const char*>(archive.take(size)), size}, {}};
    if ((head & has_attached) == 0) return read;
    const std::uint64_t blocks = number();
    const std::uint64_t objects = number();
    for (std::uint64_t i = 0; i < blocks; ++i) {
        AnyHandle handle = archive.read_handle();
        const char* const begin = reinterpret_cast<const char*>(handle.object()) + number();
        const std::string_view bytes(begin, static_cast<std::size_t>(number()));
        read.second.blocks.push_back({std::move(handle), bytes});
    }
    for (std::uint64_t i = 0; i < objects; ++i) {
        read.second.objects.push_back(archive.read_handle());
    }
    return read;
}

}  // namespace multiprocessing::detail::pickles
