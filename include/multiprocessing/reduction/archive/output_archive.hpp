// multiprocessing/reduction/archive/output_archive.hpp
//
// The archive that turns values into bytes, in memory; archive.hpp says how. Floor 2. Start at
// OutputArchive.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/requirements.hpp"
// It comes first, because cereal has requirements too.
#include <cereal/types/base_class.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include "multiprocessing/detail/copy.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/reduction/archive/archive_base.hpp"
#include "multiprocessing/reduction/archive/tracking.hpp"

namespace multiprocessing::detail {

/// Where an OutputArchive gets memory when it is full.
struct Growth {
    /// Returns a new block of at least `capacity` bytes, and stores its true size in `capacity`.
    /// The function copies the `used` bytes at `block` to the beginning of the new block. The old
    /// block is then the function's to dispose of. So many bytes as `needed` will be used at once,
    /// these included.
    std::byte* (*grow)(void* context, std::byte* block, std::size_t used, std::size_t needed,
                       std::size_t& capacity);
    void* context;
};

/// Writes values to memory: its own, the caller's as long as there is room in it, or what a Growth
/// gives.
class OutputArchive : public cereal::detail::OutputArchiveBase,
                      private cereal::MultiprocessingArchive {
  public:
    using is_loading = std::false_type;
    using is_saving = std::true_type;

    /// Writes to memory of its own.
    OutputArchive() noexcept = default;

    /// Writes to `first`, and to memory of its own when `first` is full.
    explicit OutputArchive(std::span<std::byte> first) noexcept
        : begin_(first.data()), current_(begin_), end_(begin_ + first.size()), owned_(false) {}

    /// Writes to `first`, and to what `growth` returns when `first` is full. The archive does not
    /// free this memory.
    explicit OutputArchive(Growth growth, std::span<std::byte> first = {}) noexcept
        : OutputArchive(first) {
        growth_ = growth;
    }

    OutputArchive(const OutputArchive&) = delete;
    OutputArchive& operator=(const OutputArchive&) = delete;
    [[gnu::hot]] ~OutputArchive() override {
        if (owned_) std::free(begin_);
    }

    /// Writes the values, in order. @returns the archive, as cereal's functions expect
    template <class... Ts>
    OutputArchive& operator()(Ts&&... values) {
        (process(values), ...);
        return *this;
    }
    template <class T>
    OutputArchive& operator&(T&& value) {
        process(value);
        return *this;
    }
    template <class T>
    OutputArchive& operator<<(T&& value) {
        process(value);
        return *this;
    }

    void write(const void* bytes, std::size_t size) {
        reserve(size);
        copy_bytes(current_, bytes, size);
        current_ += size;
    }
    void write_size(std::size_t size) {
        const std::uint64_t wide = size;
        reserve(sizeof wide);
        std::memcpy(current_, &wide, sizeof wide);
        current_ += sizeof wide;
    }

    /// Makes room for `size` more bytes.
    void reserve(std::size_t size) {
        if (static_cast<std::size_t>(end_ - current_) < size) [[unlikely]]
            grow(size);
    }

    /// Returns what was written. The next write invalidates it.
    [[nodiscard]] std::span<const std::byte> view() const noexcept { return {begin_, current_}; }
    [[nodiscard]] std::size_t size() const noexcept {
        return static_cast<std::size_t>(current_ - begin_);
    }

    /// Forgets what was written and keeps the memory.
    void clear() noexcept {
        current_ = begin_;
        handles_.clear();
        forget_shared();
    }
    /// Forgets what was written, and writes to `first` from now on. For archives with a Growth.
    void restart(std::span<std::byte> first) noexcept {
        begin_ = first.data();
        end_ = begin_ + first.size();
        clear();
    }
    /// Forgets what was written after the first `size` bytes.
    void truncate(std::size_t size) noexcept {
        current_ = begin_ + size;
        forget_shared();
    }
    /// Writes over what was written before, from `offset` on.
    void overwrite(std::size_t offset, const void* bytes, std::size_t size) noexcept {
        std::memcpy(begin_ + offset, bytes, size);
    }
    /// Forgets the shared objects so far. What follows does not refer to them, so that another
    /// archive can read it (or one that forgets at the same place).
    void forget_shared() noexcept {
        tracking_.reset();
        walk_ = {};
    }

    /// Sends a handle along. The archive holds a count of it while the message is made.
    void write_handle(const AnyHandle& handle) {
        write_size(handles_.size());
        handles_.push_back(handle);
    }
    [[nodiscard]] std::vector<AnyHandle>& handles() noexcept { return handles_; }

    void carry_descriptors(DescriptorTransport* transport) noexcept { descriptors_ = transport; }
    /// Returns whether an open descriptor can go through the channel.
    [[nodiscard]] bool takes_descriptors() const noexcept {
        return descriptors_ != nullptr && descriptors_->has_room();
    }
    /// Sends an open file descriptor along.
    /// @throws TypeError when descriptors cannot go through the channel
    void write_descriptor(int fd);

    DeepWalk& walk() noexcept { return walk_; }

    // What cereal's functions for polymorphic and shared pointers need of an archive.

    /// Returns the number of a shared object. The highest bit is set the first time.
    template <class Pointer>
    std::uint32_t registerSharedPointer(const Pointer& pointer) {
        return register_shared(pointer, nullptr);
    }
    /// As above. @param type the address of the type_info of the object's type
    template <class Pointer>
    std::uint32_t register_shared(const Pointer& pointer, const void* type) {
        if (!pointer) return 0;
        auto& known = get_tracking<Pointer>().shared;
        const auto next = static_cast<std::uint32_t>(known.size() + 1);
        // The table keeps the pointer. Otherwise the object could be destroyed, and another one
        // could get its address, before the message is complete.
        const auto [found, is_new] =
            known.try_emplace(ObjectKey{pointer.get(), type}, next, pointer);
        return is_new ? next | cereal::detail::msb_32bit : found->second.first;
    }
    template <class Name>
    std::uint32_t registerPolymorphicType(const Name* name) {
        auto& known = get_tracking<Name>().polymorphic;
        const auto next = static_cast<std::uint32_t>(known.size() + 1);
        const auto [found, is_new] = known.try_emplace(name, next);
        return is_new ? next | cereal::detail::msb_32bit : found->second;
    }
    template <class T = void>
    void serializeDeferments() {
        tracking_.template run_deferments<T>();
    }

  private:
    template <class T>
    void process(const T& value);
    template <class T>
    void process(const cereal::NameValuePair<T>& pair) {
        process(pair.value);
    }
    template <class T>
    void process(const cereal::SizeTag<T>& tag) {
        write_size(static_cast<std::size_t>(tag.size));
    }
    template <class T>
    void process(const cereal::BinaryData<T>& data) {
        write(data.data, static_cast<std::size_t>(data.size));
    }
    template <class T>
    void process(const cereal::base_class<T>& base) {
        process(*base.base_ptr);
    }
    template <class T>
    void process(const cereal::virtual_base_class<T>& base) {
        const ObjectKey key{base.base_ptr, &typeid(T)};
        auto& known = get_tracking<T>().virtual_bases;
        if (known.try_emplace(key, true).second) process(*base.base_ptr);
    }
    template <class T>
    void process(const cereal::DeferredData<T>& data) {
        get_tracking<T>().deferments.emplace_back([this, data] { process(data.value); });
    }

    void grow(std::size_t size);
    std::byte* grow_locally(std::size_t used, std::size_t capacity);

    std::byte* begin_ = nullptr;
    std::byte* current_ = nullptr;
    std::byte* end_ = nullptr;
    Growth growth_{nullptr, nullptr};
    bool owned_ = true;
    DeepWalk walk_;
    DescriptorTransport* descriptors_ = nullptr;
    std::vector<AnyHandle> handles_;
    // T makes the tables a dependent type, so that they are compiled only where they are used.
    template <class T>
    auto& get_tracking() {
        return tracking_.template get<std::void_t<T>>();
    }
    LazyTracking tracking_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/reduction/archive/output_archive.ipp"
#endif
