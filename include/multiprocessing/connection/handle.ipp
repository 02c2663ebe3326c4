// multiprocessing/connection/handle.ipp
//
// What a Handle does with its descriptor: see handle.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/connection/handle.hpp"

#include <cstdint>
#include <string>

#include "multiprocessing/connection/descriptor_lot.hpp"
#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing {

MULTIPROCESSING_INLINE Handle::Handle(int fd) : fd_(detail::checked_descriptor(fd)) {}

MULTIPROCESSING_INLINE Handle Handle::duplicate() const {
    Handle copy;
    copy.fd_ = detail::duplicate_descriptor(fileno());
    return copy;
}

MULTIPROCESSING_INLINE int Handle::fileno() const {
    if (!fd_) throw ValueError("the handle is closed");
    return fd_.get();
}

MULTIPROCESSING_INLINE int Handle::detach() {
    (void)fileno();
    return fd_.release();
}

MULTIPROCESSING_INLINE Handle Handle::from_archive(detail::InputArchive& archive) {
    const unsigned how = archive.read<std::uint8_t>();
    Handle handle;
    if (how > 2) detail::throw_damaged("it has no descriptor here");
    if (how == 1) {
        handle.fd_ = detail::take_parked_descriptor(archive.read_handle(), archive.keeps_message());
    } else if (how == 2) {
        handle.fd_ = detail::Descriptor(archive.read_descriptor());
    }
    return handle;
}

MULTIPROCESSING_INLINE std::string text_of(const Handle& handle) {
    return handle.closed() ? "<Handle closed>"
                           : "<Handle fd=" + std::to_string(handle.fileno()) + ">";
}

}  // namespace multiprocessing
