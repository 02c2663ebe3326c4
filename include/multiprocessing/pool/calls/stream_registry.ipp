// multiprocessing/pool/calls/stream_registry.ipp
//
// How the streams of a pool are noted: see stream_registry.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/calls/stream_registry.hpp"

#include <utility>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE void StreamFeed::set_registration(
    std::shared_ptr<void> registration) noexcept {
    const std::lock_guard guard(mutex_);
    registration_ = std::move(registration);
}

MULTIPROCESSING_INLINE void StreamFeed::release() noexcept {
    std::shared_ptr<void> registration;
    const std::lock_guard guard(mutex_);
    registration.swap(registration_);
}

MULTIPROCESSING_INLINE void StreamRegistry::add(std::weak_ptr<StreamFeed> feed) {
    std::erase_if(feeds_, [](const auto& known) { return known.expired(); });
    feeds_.push_back(std::move(feed));
    ++open_;
}

MULTIPROCESSING_INLINE std::vector<std::shared_ptr<StreamFeed>> StreamRegistry::feeds() const {
    std::vector<std::shared_ptr<StreamFeed>> living;
    for (const auto& weak : feeds_) {
        if (auto feed = weak.lock()) living.push_back(std::move(feed));
    }
    return living;
}

}  // namespace multiprocessing::detail
