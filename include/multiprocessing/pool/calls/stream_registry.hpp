// multiprocessing/pool/calls/stream_registry.hpp
//
// Which streams of a pool still have input to give to it. Until they have reached the end of their
// input, a closed pool lets its workers stay; join ends their input. Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <exception>
#include <memory>
#include <mutex>
#include <vector>

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail {

/// A stream as its pool sees it.
class StreamFeed {
  public:
    StreamFeed() = default;
    StreamFeed(const StreamFeed&) = delete;
    StreamFeed& operator=(const StreamFeed&) = delete;
    virtual ~StreamFeed() = default;

    /// Reads the rest of the input and keeps what it gives, where Python would have read it at
    /// once. Elsewhere the input ends here.
    virtual void finish_input() = 0;
    /// Ends the input here. @param error thrown after the results of what was read
    virtual void cut(std::exception_ptr error) = 0;

    /// @param registration what the stream holds as long as it has input
    void set_registration(std::shared_ptr<void> registration) noexcept;

  protected:
    /// Drops the registration.
    void release() noexcept;

  private:
    std::mutex mutex_;  // guards what follows
    std::shared_ptr<void> registration_;
};

/// The streams of a pool. The caller holds a lock.
class StreamRegistry {
  public:
    void add(std::weak_ptr<StreamFeed> feed);
    /// Notes that a stream has no more input. @returns whether it was the last one
    bool remove() noexcept { return --open_ == 0; }
    [[nodiscard]] bool is_empty() const noexcept { return open_ == 0; }

    /// Returns the streams that still live.
    [[nodiscard]] std::vector<std::shared_ptr<StreamFeed>> feeds() const;

  private:
    std::vector<std::weak_ptr<StreamFeed>> feeds_;
    int open_ = 0;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/calls/stream_registry.ipp"
#endif
