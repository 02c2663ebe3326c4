// multiprocessing/pool/tasks/retry_rule.ipp
//
// How a worker decides to try again: see retry_rule.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/tasks/retry_rule.hpp"

#include <exception>
#include <new>
#include <utility>

#include "multiprocessing/detail/linkage.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE RetryRule::RetryRule(TaskPolicy& policy) : policy_(policy) {
    if (policy.retry_on == 0) return;
    const PayloadView payload(heap().at(policy.retry_on));
    InputArchive archive(payload.bytes(), payload.handles());
    archive.keep_message();  // every worker reads it
    matches_ = archive.read<RetryOn::Matches>();
}

MULTIPROCESSING_INLINE RunEnd RetryRule::decide(const ChunkContext& context,
                                                std::uint32_t item) noexcept {
    Chunk& chunk = context.chunk;
    const std::uint32_t failed = (item == chunk.start ? chunk.attempts : 0) + 1;
    if (failed > policy_.retries || !matches_(std::current_exception())) return RunEnd::finished;
    if (policy_.rests_first != 0) {
        try {
            note_ = heap().offset_of(new (allocate(sizeof(RestNote))) RestNote{
                0, context.batch.whole.batch, context.batch.serial, 0, context.index, 0, item, 0});
            return RunEnd::rests;
        } catch (const std::bad_alloc&) {  // at once, then
        }
    }
    // In this order: a worker that dies in between has one attempt more.
    if (item != chunk.start) chunk.attempts = 0;
    chunk.start = item;
    chunk.attempts = failed;
    return RunEnd::again;
}

MULTIPROCESSING_INLINE void RetryRule::hand_over(Chunk& chunk, std::uint32_t ticket,
                                                 std::uint64_t since) noexcept {
    const Offset place = std::exchange(note_, 0);
    heap().at<RestNote>(place)->ticket = ticket;
    heap().at<RestNote>(place)->since = since;
    hand_back(policy_, chunk, place);
}

MULTIPROCESSING_INLINE void RetryRule::drop_note() noexcept {
    if (note_ != 0) deallocate(heap().at(std::exchange(note_, 0)));
}

}  // namespace multiprocessing::detail
