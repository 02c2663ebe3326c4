// multiprocessing/python/arrays.ipp
//
// How memory is shown by Python and to Python, see arrays.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/python/arrays.hpp"

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

namespace multiprocessing::detail::pythons {

/// Returns the type that a format of Python's module struct stands for.
inline NumberType type_of_format(std::string_view format, std::size_t size) noexcept {
    // '<' is this machine's order: both processors that the library runs on have it.
    if (!format.empty() && std::string_view("@=<").find(format[0]) != format.npos) {
        format.remove_prefix(1);
    }
    if (format.size() != 1) return {};
    if (std::string_view("bhilqn").find(format[0]) != format.npos) return {'i', size};
    if (std::string_view("BHILQN").find(format[0]) != format.npos) return {'u', size};
    if (std::string_view("fd").find(format[0]) != format.npos) return {'f', size};
    return {};
}

inline Numbers::Numbers(Object* object) noexcept {
    const auto gives_access = api().PyObject_CheckBuffer;
    if (gives_access != nullptr && gives_access(object) == 0) return;
    if (api().PyObject_GetBuffer(object, &buffer_, strided_format) != 0) {
        api().PyErr_Clear();
        buffer_.obj = nullptr;
        return;
    }
    if (buffer_.ndim != 1 || buffer_.suboffsets != nullptr) return;
    type_ = type_of_format(buffer_.format != nullptr ? buffer_.format : "B",
                           static_cast<std::size_t>(buffer_.itemsize));
}

inline Numbers::~Numbers() {
    if (buffer_.obj != nullptr) api().PyBuffer_Release(&buffer_);
}

using Owner = std::shared_ptr<const void>;
inline constexpr const char* owner_name = "multiprocessing.owner";

/// Lets go of the owner that a capsule keeps.
inline void drop_owner(Object* capsule) {
    delete static_cast<Owner*>(api().PyCapsule_GetPointer(capsule, owner_name));
}

inline Reference make_view(std::span<const std::byte> memory, char format, bool read_only,
                           Owner owner) {
    auto kept = std::make_unique<Owner>(std::move(owner));
    const Reference capsule = checked(api().PyCapsule_New(kept.get(), owner_name, drop_owner));
    static_cast<void>(kept.release());  // the capsule's
    const Reference address =
        checked(api().PyLong_FromUnsignedLongLong(reinterpret_cast<std::uintptr_t>(memory.data())));
    const Reference size = checked(api().PyLong_FromUnsignedLongLong(memory.size()));
    const Reference letter = make_text({&format, 1});
    return checked(call_object(interpreter().view, address.get(), size.get(), letter.get(),
                               read_only ? api().True : api().False, capsule.get()));
}

}  // namespace multiprocessing::detail::pythons
