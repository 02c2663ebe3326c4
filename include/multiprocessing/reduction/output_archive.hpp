// multiprocessing/reduction/output_archive.hpp
//
// The archive that turns values into bytes, in memory; archive.hpp says how. Floor 2. Start at
// OutputArchive.
// SPDX-License-Identifier: MIT
#pragma once

#include <cereal/types/base_class.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <type_traits>
#include <typeinfo>
#include <vector>

#include "multiprocessing/detail/copy.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/reduction/archive_base.hpp"
#include "multiprocessing/reduction/tracking.hpp"

namespace multiprocessing::detail {

/// Where an OutputArchive gets memory when it is full.
struct Growth {
    /// Returns a block of at least `capacity` bytes, whose true size it stores in `capacity`, that
    /// begins with the `used` bytes at `block`. The old block is then the function's to dispose of.
    std::byte* (*grow)(void* context, std::byte* block, std::size_t used, std::size_t& capacity);
    void* context;
};

/// Writes values to memory: its own, the caller's while it lasts, or a sink's (see Growth).
class OutputArchive : public cereal::detail::OutputArchiveBase,
                      private cereal::MultiprocessingArchive {
  public:
    using is_loading = std::false_type;
    using is_saving = std::true_type;

    /// Writes to memory of its own.
    OutputArchive() noexcept = default;

    /// Writes to `first`, and to memory of its own when that is full.
    explicit OutputArchive(std::span<std::byte> first) noexcept
        : begin_(first.data()), current_(begin_), end_(begin_ + first.size()), owned_(false) {}

    /// Writes to `first`, and to what `growth` returns when that is full. The memory is not freed.
    explicit OutputArchive(Growth growth, std::span<std::byte> first = {}) noexcept
        : OutputArchive(first) {
        growth_ = growth;
    }

    OutputArchive(const OutputArchive&) = delete;
    OutputArchive& operator=(const OutputArchive&) = delete;
    [[gnu::hot]] ~OutputArchive() override {
        if (owned_) std::free(begin_);
    }

    /// Writes the values, in order. The result is the archive, as cereal's functions expect.
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

    /// Returns what was written; the next write invalidates it.
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
    /// Forgets what was written after the first `size` bytes.
    void truncate(std::size_t size) noexcept {
        current_ = begin_ + size;
        forget_shared();
    }
    /// Writes over what was written before, at `offset`.
    void overwrite(std::size_t offset, const void* bytes, std::size_t size) noexcept {
        std::memcpy(begin_ + offset, bytes, size);
    }
    /// Makes the shared objects of what follows independent of those before, so that it can be read
    /// by an archive of its own (or one that forgets at the same place).
    void forget_shared() noexcept {
        tracking_.reset();
        nesting_ = {};
    }

    /// Sends a handle along: a count is held while the message is made.
    void write_handle(const AnyHandle& handle) {
        write_size(handles_.size());
        handles_.push_back(handle);
    }
    [[nodiscard]] std::vector<AnyHandle>& handles() noexcept { return handles_; }

    void carry_descriptors(DescriptorTransport* transport) noexcept { descriptors_ = transport; }
    /// Returns whether the channel is one that an open descriptor can go through.
    [[nodiscard]] bool takes_descriptors() const noexcept {
        return descriptors_ != nullptr && descriptors_->has_room();
    }
    /// Sends an open file descriptor along.
    /// @throws TypeError when the channel is not one that descriptors can go through
    void write_descriptor(int fd) {
        if (descriptors_ == nullptr) {
            throw TypeError("a file descriptor cannot travel this way: send it through a Pipe");
        }
        write_size(descriptors_->attach(fd));
    }

    NestingGuard& nesting() noexcept { return nesting_; }

    // What cereal's functions for polymorphic and shared pointers ask of an archive.

    /// Returns the number of a shared object, with the highest bit set when it is the first time.
    template <class Pointer>
    std::uint32_t registerSharedPointer(const Pointer& pointer) {
        return register_shared(pointer, nullptr);
    }
    /// As above, for an object of a type of which `type` is the address of the type_info.
    template <class Pointer>
    std::uint32_t register_shared(const Pointer& pointer, const void* type) {
        if (!pointer) return 0;
        auto& known = get_tracking<Pointer>().shared;
        const auto next = static_cast<std::uint32_t>(known.size() + 1);
        // The pointer is kept: another object could get its address before the message is complete.
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

    [[gnu::noinline]] void grow(std::size_t size) {
        const std::size_t used = this->size();
        if (size > PTRDIFF_MAX - used) throw std::bad_alloc();
        std::size_t capacity = used + size;
        // Doubling makes the copies of a growing message linear in its size.
        if (const auto twice = 2 * static_cast<std::size_t>(end_ - begin_); capacity < twice) {
            capacity = twice;
        } else if (capacity < 64) {
            capacity = 64;
        }
        std::byte* const block = growth_.grow != nullptr
                                     ? growth_.grow(growth_.context, begin_, used, capacity)
                                     : grow_locally(used, capacity);
        begin_ = block;
        current_ = block + used;
        end_ = block + capacity;
    }
    std::byte* grow_locally(std::size_t used, std::size_t capacity) {
        void* const block = std::realloc(owned_ ? begin_ : nullptr, capacity);
        if (block == nullptr) throw std::bad_alloc();
        if (!owned_ && used != 0) std::memcpy(block, begin_, used);
        owned_ = true;
        return static_cast<std::byte*>(block);
    }

    std::byte* begin_ = nullptr;
    std::byte* current_ = nullptr;
    std::byte* end_ = nullptr;
    Growth growth_{nullptr, nullptr};
    bool owned_ = true;
    NestingGuard nesting_;
    DescriptorTransport* descriptors_ = nullptr;
    std::vector<AnyHandle> handles_;
    // T makes it dependent, so that nothing of it is compiled where it is not used.
    template <class T>
    auto& get_tracking() {
        return tracking_.template get<std::void_t<T>>();
    }
    LazyTracking tracking_;
};

}  // namespace multiprocessing::detail
