// multiprocessing/reduction/archive.hpp
//
// The archives that turn values into bytes and back, in memory. They are cereal archives, so a type
// with cereal functions works unchanged, but every value goes through the library's own dispatch
// (pickler.hpp), which knows faster ways for most. Mirrors CPython
// Lib/multiprocessing/reduction.py, ForkingPickler. Floor 2. Start at OutputArchive.
//
// Both ends run the same program on the same machine: no byte order, no version numbers, no names.
// SPDX-License-Identifier: MIT
#pragma once

#include <cereal/access.hpp>
#include <cereal/types/base_class.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/reduction/tracking.hpp"

namespace cereal {
/// Being derived from a class of this namespace lets argument-dependent lookup find the functions
/// that cereal has for its own types, for pointers to polymorphic classes among others.
struct MultiprocessingArchive {};
}  // namespace cereal

namespace multiprocessing::detail {

[[noreturn]] inline void throw_damaged(const char* what) {
    throw ProcessError(std::string("a received message is damaged: ") + what);
}

/// How an archive carries open file descriptors, given to it by a channel that can (a Unix socket).
class DescriptorTransport {
  public:
    /// Returns whether one more can be attached.
    [[nodiscard]] virtual bool has_room() const noexcept { return true; }
    /// Sends `fd` along. @returns the number under which the receiver finds it
    virtual std::uint64_t attach(int fd) = 0;
    /// Takes the descriptor that came under `number`. @returns one that the caller owns
    virtual int take(std::uint64_t number) = 0;

  protected:
    ~DescriptorTransport() = default;
};

/// Ends a walk through nested values that would overflow the stack, be it of a list of a million
/// unique_ptrs or of a message made to do so.
class NestingGuard {
  public:
    /// @throws ValueError past 4 MiB of stack: half of what a thread has by default
    void check() {
        const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
        if (first_ == 0) first_ = here;
        if (first_ > here && first_ - here > stack_limit) {
            throw ValueError(
                "the object's pointers or containers are nested too deeply to travel: keep the "
                "nodes in one vector and refer to them by index");
        }
    }

  private:
    static constexpr std::uintptr_t stack_limit = std::uintptr_t{4} << 20;
    std::uintptr_t first_ = 0;
};

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
    ~OutputArchive() override {
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
        if (static_cast<std::size_t>(end_ - current_) < size) [[unlikely]]
            grow(size);
        if (size == 0) return;  // memcpy must not see the null of an empty vector
        std::memcpy(current_, bytes, size);
        current_ += size;
    }
    void write_size(std::size_t size) {
        const std::uint64_t wide = size;
        write(&wide, sizeof(wide));
    }

    /// Makes room for `size` more bytes.
    void reserve(std::size_t size) {
        if (static_cast<std::size_t>(end_ - current_) < size) grow(size);
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

/// Reads values from the bytes of an OutputArchive. Bytes that are not such, or not all of them,
/// are a ProcessError: every length is checked against the bytes that are there before it is used.
class InputArchive : public cereal::detail::InputArchiveBase,
                     private cereal::MultiprocessingArchive {
  public:
    using is_loading = std::true_type;
    using is_saving = std::false_type;

    /// @param bytes   what was written; it must outlive the archive
    /// @param handles the places in the heap of the handles that came along
    explicit InputArchive(std::span<const std::byte> bytes,
                          std::span<const std::uint64_t> handles = {}) noexcept
        : current_(bytes.data()), end_(bytes.data() + bytes.size()), handles_(handles) {}

    InputArchive(const InputArchive&) = delete;
    InputArchive& operator=(const InputArchive&) = delete;
    ~InputArchive() override = default;

    /// Reads into the values, in order.
    template <class... Ts>
    InputArchive& operator()(Ts&&... values) {
        (process(values), ...);
        return *this;
    }
    template <class T>
    InputArchive& operator&(T&& value) {
        process(value);
        return *this;
    }
    template <class T>
    InputArchive& operator>>(T&& value) {
        process(value);
        return *this;
    }

    /// Reads a T, which need not have a default constructor when it is an aggregate.
    template <class T>
    [[nodiscard]] T read();

    [[nodiscard]] std::size_t remaining() const noexcept {
        return static_cast<std::size_t>(end_ - current_);
    }

    /// Returns the next `size` bytes, where they lie.
    const std::byte* take(std::size_t size) {
        if (remaining() < size) [[unlikely]]
            throw_damaged("it ends too early");
        return std::exchange(current_, current_ + size);
    }
    void read_into(void* bytes, std::size_t size) {
        const std::byte* const source = take(size);
        if (size != 0) std::memcpy(bytes, source, size);
    }
    /// Reads a number of things of which each takes at least `bytes_each` bytes.
    std::size_t read_size(std::size_t bytes_each = 1) {
        std::uint64_t size = 0;
        read_into(&size, sizeof(size));
        if (size > remaining() / bytes_each) throw_damaged("it tells more items than it holds");
        return static_cast<std::size_t>(size);
    }

    /// Counterpart of OutputArchive::forget_shared.
    void forget_shared() noexcept {
        tracking_.reset();
        nesting_ = {};
    }

    /// Reads a handle and takes a count of its own.
    AnyHandle read_handle() {
        std::uint64_t index = 0;
        read_into(&index, sizeof(index));
        if (index >= handles_.size()) throw_damaged("it refers to a handle that did not come");
        return AnyHandle::from_offset(handles_[static_cast<std::size_t>(index)]);
    }

    void carry_descriptors(DescriptorTransport* transport) noexcept { descriptors_ = transport; }
    /// Says that the message stays where it is and will be read again, so that what it holds once
    /// (a parked descriptor) must not be taken out of it.
    void keep_message() noexcept { keeps_message_ = true; }
    [[nodiscard]] bool keeps_message() const noexcept { return keeps_message_; }
    /// Reads an open file descriptor, which the caller owns.
    int read_descriptor() {
        std::uint64_t number = 0;
        read_into(&number, sizeof(number));
        if (descriptors_ == nullptr) throw_damaged("it refers to a descriptor that did not come");
        return descriptors_->take(number);
    }

    NestingGuard& nesting() noexcept { return nesting_; }

    // What cereal's functions for polymorphic and shared pointers ask of an archive.

    template <class Id>
    std::shared_ptr<void> getSharedPointer(Id id) {
        return shared(id, nullptr);
    }
    template <class Pointer>
    void registerSharedPointer(std::uint32_t id, Pointer pointer) {
        register_shared(id, std::move(pointer), nullptr);
    }
    template <class Pointer>
    void register_shared(std::uint32_t id, Pointer pointer, const void* type) {
        get_tracking<Pointer>().received[id & ~cereal::detail::msb_32bit] = {std::move(pointer),
                                                                             type};
    }
    /// Returns a shared object that came before. @param type the one it was registered with
    template <class Id>
    std::shared_ptr<void> shared(Id id, const void* type) {
        if (id == 0) return nullptr;
        auto& known = get_tracking<Id>().received;
        const auto found = known.find(id);
        if (found == known.end() || found->second.second != type) {
            throw_damaged("it refers to an unknown object");
        }
        return found->second.first;
    }
    template <class Id>
    std::string getPolymorphicName(Id id) {
        auto& known = get_tracking<Id>().polymorphic_names;
        const auto found = known.find(id);
        if (found == known.end()) throw_damaged("it refers to an unknown type");
        return found->second;
    }
    template <class Name>
    void registerPolymorphicName(std::uint32_t id, const Name& name) {
        get_tracking<Name>().polymorphic_names[id & ~cereal::detail::msb_32bit] = name;
    }
    template <class T>
    std::uint32_t loadClassVersion() {
        return cereal::detail::Version<T>::version;  // the writer is the same program
    }
    template <class T = void>
    void serializeDeferments() {
        tracking_.template run_deferments<T>();
    }

  private:
    template <class T>
    void process(T& value);
    template <class T>
    void process(cereal::NameValuePair<T>& pair) {
        process(pair.value);
    }
    template <class T>
    void process(cereal::SizeTag<T>& tag) {
        tag.size = static_cast<std::remove_reference_t<T>>(read_size());
    }
    template <class T>
    void process(cereal::BinaryData<T>& data) {
        read_into(data.data, static_cast<std::size_t>(data.size));
    }
    template <class T>
    void process_base(T& base);
    template <class T>
    void process(cereal::base_class<T>& base) {
        process_base(*base.base_ptr);
    }
    template <class T>
    void process(cereal::virtual_base_class<T>& base) {
        const ObjectKey key{base.base_ptr, &typeid(T)};
        auto& known = get_tracking<T>().virtual_bases;
        if (known.try_emplace(key, true).second) process_base(*base.base_ptr);
    }
    template <class T>
    void process(cereal::DeferredData<T>& data) {
        get_tracking<T>().deferments.emplace_back([this, data]() mutable { process(data.value); });
    }

    const std::byte* current_;
    const std::byte* end_;
    std::span<const std::uint64_t> handles_;
    NestingGuard nesting_;
    DescriptorTransport* descriptors_ = nullptr;
    bool keeps_message_ = false;
    // T makes it dependent, so that nothing of it is compiled where it is not used.
    template <class T>
    auto& get_tracking() {
        return tracking_.template get<std::void_t<T>>();
    }
    LazyTracking tracking_;
};

}  // namespace multiprocessing::detail

CEREAL_SETUP_ARCHIVE_TRAITS(multiprocessing::detail::InputArchive,
                            multiprocessing::detail::OutputArchive)

// CEREAL_REGISTER_ARCHIVE, which cereal.hpp defines, for the two archives: pointers to polymorphic
// classes then travel when the program includes <cereal/types/polymorphic.hpp>.
namespace cereal::detail {
template <class T, class BindingTag>
typename polymorphic_serialization_support<multiprocessing::detail::OutputArchive, T>::type
instantiate_polymorphic_binding(T*, multiprocessing::detail::OutputArchive*, BindingTag, adl_tag);
template <class T, class BindingTag>
typename polymorphic_serialization_support<multiprocessing::detail::InputArchive, T>::type
instantiate_polymorphic_binding(T*, multiprocessing::detail::InputArchive*, BindingTag, adl_tag);
}  // namespace cereal::detail
