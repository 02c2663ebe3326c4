// multiprocessing/reduction/archive/input_archive.hpp
//
// The archive that turns bytes back into values; archive.hpp says how. Floor 2. Start at
// InputArchive.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/requirements.hpp"
// It comes first, because cereal has requirements too.
#include <cereal/types/base_class.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include "multiprocessing/detail/copy.hpp"
#include "multiprocessing/heap/handle.hpp"
#include "multiprocessing/reduction/archive/archive_base.hpp"
#include "multiprocessing/reduction/archive/tracking.hpp"

namespace multiprocessing::detail {

/// Throws the ProcessError for a message that is damaged. @param what how it shows, as a clause
[[noreturn]] void throw_damaged(const char* what);

/// Reads values from the bytes that an OutputArchive wrote. It throws a ProcessError when the bytes
/// are others or some are missing: it checks every length against the bytes that are there before
/// it uses it.
class InputArchive : public cereal::detail::InputArchiveBase,
                     private cereal::MultiprocessingArchive {
  public:
    using is_loading = std::true_type;
    using is_saving = std::false_type;

    /// @param bytes   what was written; it must outlive the archive
    /// @param handles where in the heap the objects are whose handles came along
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

    /// Reads a T. An aggregate needs no default constructor for that.
    template <class T>
    [[nodiscard]] T read();

    [[nodiscard]] std::size_t remaining() const noexcept {
        return static_cast<std::size_t>(end_ - current_);
    }

    /// Takes the next `size` bytes. @returns where they lie, without a copy
    const std::byte* take(std::size_t size) {
        if (remaining() < size) [[unlikely]]
            throw_damaged("it ends too early");
        return std::exchange(current_, current_ + size);
    }
    void read_into(void* bytes, std::size_t size) {
        const std::byte* const source = take(size);
        copy_bytes(bytes, source, size);
    }
    /// Reads how many things follow, each of which takes at least `bytes_each` bytes.
    std::size_t read_size(std::size_t bytes_each = 1) {
        std::uint64_t size = 0;
        read_into(&size, sizeof(size));
        if (size > remaining() / bytes_each) throw_damaged("it tells more items than it holds");
        return static_cast<std::size_t>(size);
    }

    /// Counterpart of OutputArchive::forget_shared.
    void forget_shared() noexcept {
        tracking_.reset();
        walk_ = {};
    }

    /// Reads a handle and takes a count of its own.
    AnyHandle read_handle() {
        std::uint64_t index = 0;
        read_into(&index, sizeof(index));
        if (index >= handles_.size()) throw_damaged("it refers to a handle that did not come");
        return AnyHandle::from_offset(handles_[static_cast<std::size_t>(index)]);
    }

    void carry_descriptors(DescriptorTransport* transport) noexcept { descriptors_ = transport; }
    /// Says that the message stays where it is and will be read again. Then a thing that it holds
    /// only once (a parked descriptor) must not be taken out of it.
    void keep_message() noexcept { keeps_message_ = true; }
    [[nodiscard]] bool keeps_message() const noexcept { return keeps_message_; }
    /// Reads an open file descriptor, which the caller owns.
    int read_descriptor();

    DeepWalk& walk() noexcept { return walk_; }

    // What cereal's functions for polymorphic and shared pointers need of an archive.

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
    /// Returns a shared object that came before. @param type what it was registered with
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
    DeepWalk walk_;
    DescriptorTransport* descriptors_ = nullptr;
    bool keeps_message_ = false;
    // T makes the tables a dependent type, so that they are compiled only where they are used.
    template <class T>
    auto& get_tracking() {
        return tracking_.template get<std::void_t<T>>();
    }
    LazyTracking tracking_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/reduction/archive/input_archive.ipp"
#endif
