// multiprocessing/reduction/archive/input_archive.ipp
//
// What is rare when a message is read: damage, and descriptors. See input_archive.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/reduction/archive/input_archive.hpp"

#include <string>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void throw_damaged(const char* what) {
    throw ProcessError(std::string("a received message is damaged: ") + what);
}

MULTIPROCESSING_INLINE int InputArchive::read_descriptor() {
    std::uint64_t number = 0;
    read_into(&number, sizeof(number));
    if (descriptors_ == nullptr) throw_damaged("it refers to a descriptor that did not come");
    return descriptors_->take(number);
}

}  // namespace multiprocessing::detail
