// multiprocessing/pool/stream_registry.hpp
//
// Which streams of a pool still have input to give it: until they are at its end, a pool that is
// closed lets its workers stay, and join reads their input for them. Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace multiprocessing::detail {

/// A stream as its pool sees it.
class StreamFeed {
  public:
    StreamFeed() = default;
    StreamFeed(const StreamFeed&) = delete;
    StreamFeed& operator=(const StreamFeed&) = delete;
    virtual ~StreamFeed() = default;

    /// Reads on, with no regard to how far it is ahead. @returns whether there is more to read
    virtual bool feed_on() = 0;

    /// @param registration what it holds while it has input
    void set_registration(std::shared_ptr<void> registration) noexcept {
        registration_ = std::move(registration);
    }

  protected:
    void release() noexcept { registration_.reset(); }

  private:
    std::shared_ptr<void> registration_;
};

/// The streams of a pool. Its user has a lock.
class StreamRegistry {
  public:
    void add(std::weak_ptr<StreamFeed> feed) {
        std::erase_if(feeds_, [](const auto& known) { return known.expired(); });
        feeds_.push_back(std::move(feed));
        ++open_;
    }
    /// Takes note that a stream has no more input. @returns whether it was the last one
    bool remove() noexcept { return --open_ == 0; }
    [[nodiscard]] bool is_empty() const noexcept { return open_ == 0; }

    [[nodiscard]] std::vector<std::shared_ptr<StreamFeed>> feeds() const {
        std::vector<std::shared_ptr<StreamFeed>> living;
        for (const auto& weak : feeds_) {
            if (auto feed = weak.lock()) living.push_back(std::move(feed));
        }
        return living;
    }

  private:
    std::vector<std::weak_ptr<StreamFeed>> feeds_;
    int open_ = 0;
};

}  // namespace multiprocessing::detail
