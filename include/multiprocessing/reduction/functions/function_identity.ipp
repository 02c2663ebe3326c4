// multiprocessing/reduction/functions/function_identity.ipp
//
// How a function is identified, and found again by its identity: see function_identity.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/reduction/functions/function_identity.hpp"

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/errors.hpp"
#include "multiprocessing/reduction/picklers/containers.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE FunctionIdentity identify(const void* address) {
    const auto place = reinterpret_cast<std::uintptr_t>(address);
    const Image& image = image_of(place);
    return {image.path, image.build_id, place - image.base};
}

MULTIPROCESSING_INLINE void* resolve(const FunctionIdentity& identity) {
    const Image& image = image_at(identity.image);
    const std::uintptr_t address = image.base + identity.offset;
    if (image.build_id != identity.build_id || !image.contains(address)) {
        throw RuntimeError((identity.image.empty() ? "the program" : identity.image) +
                           " is not the same file in the two processes (its build id differs): it "
                           "was replaced while the program ran. Start the program again");
    }
    return reinterpret_cast<void*>(address);
}

MULTIPROCESSING_INLINE void save_identity(OutputArchive& archive, const void* address) {
    const FunctionIdentity identity = identify(address);
    archive.write_size(static_cast<std::uint64_t>(FunctionForm::elsewhere));
    archive(identity.image, identity.build_id, identity.offset);
}

MULTIPROCESSING_INLINE void* load_identity(InputArchive& archive) {
    FunctionIdentity identity{};
    archive(identity.image, identity.build_id, identity.offset);
    return resolve(identity);
}

}  // namespace multiprocessing::detail
