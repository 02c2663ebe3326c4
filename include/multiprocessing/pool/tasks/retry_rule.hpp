// multiprocessing/pool/tasks/retry_rule.hpp
//
// Whether a task is tried again that has thrown: at once, in the same worker, or after some time.
// Then the worker hands the chunk back to the owner, and takes another one meanwhile. Floor 5.
// Start at RetryRule::decide. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "multiprocessing/pool/board/policy.hpp"
#include "multiprocessing/pool/options/retry_on.hpp"
#include "multiprocessing/pool/tasks/results.hpp"

namespace multiprocessing::detail {

/// How the run of a chunk has ended.
enum class RunEnd : std::uint8_t {
    finished,  ///< every item has its result or its error
    again,     ///< the rest of it is to be run at once
    rests,     ///< … after some time
};

/// A worker's copy of its pool's rule.
class RetryRule {
  public:
    /// @throws what reading the policy throws
    explicit RetryRule(TaskPolicy& policy);
    RetryRule(const RetryRule&) = delete;
    RetryRule& operator=(const RetryRule&) = delete;
    ~RetryRule() { drop_note(); }

    /// Returns whether there is any exception after which a task is tried again.
    [[nodiscard]] bool is_set() const noexcept { return matches_ != nullptr; }

    /// Decides about an item that has thrown the exception that is being handled.
    [[nodiscard, gnu::cold]] RunEnd decide(const ChunkContext& context,
                                           std::uint32_t item) noexcept;

    /// Hands back a chunk after `rests`. @param since nanoseconds on the monotonic clock
    void hand_over(Chunk& chunk, std::uint32_t ticket, std::uint64_t since) noexcept;

    /// Forgets that a chunk was to rest.
    void drop_note() noexcept;

  private:
    TaskPolicy& policy_;
    RetryOn::Matches matches_ = nullptr;
    Offset note_ = 0;  // for the chunk under way, once it is to rest
};

/// Returns what is to be done about an item that has thrown the exception that is being handled.
[[nodiscard]] inline RunEnd next_try(const ChunkContext& context, std::uint32_t item) noexcept {
    return context.retry == nullptr ? RunEnd::finished : context.retry->decide(context, item);
}

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/tasks/retry_rule.ipp"
#endif
