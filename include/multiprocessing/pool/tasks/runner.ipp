// multiprocessing/pool/tasks/runner.ipp
//
// How a runner is made, and what it does when something goes wrong: see runner.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/tasks/runner.hpp"

#include <unistd.h>

#include <algorithm>

#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/process/bootstrap.hpp"

namespace multiprocessing::detail {

MULTIPROCESSING_INLINE std::uint32_t ChunkRunner::first_lost(
    const ChunkContext& context) const noexcept {
    const std::uint32_t settled = serialises_results_
                                      ? committed_items(context.chunk)
                                      : context.item.load(std::memory_order_relaxed);
    return (std::max)(context.chunk.start, settled);
}

MULTIPROCESSING_INLINE void ChunkRunner::leave_as_copy() noexcept {
    flush_standard_streams();
    ::_exit(0);
}

[[gnu::noinline]] MULTIPROCESSING_INLINE void CurrentRunner::receive(const PayloadView& message) {
    size_ = 0;
    InputArchive archive(message.bytes(), message.handles());
    archive.keep_message();  // every worker reads it
    runner_ = archive.read<RunnerFactory>()(archive);
    const std::size_t size = message.bytes().size() - archive.remaining();
    if (runner_->has_state() || size > most_bytes || size % sizeof(std::uint64_t) != 0) return;
    std::memcpy(bytes_.data(), message.bytes().data(), size);
    size_ = size;
}

MULTIPROCESSING_INLINE SerialisedItems::SerialisedItems(const ChunkContext& context,
                                                        std::uint32_t first)
    : message_(heap().at(context.batch.message)),
      archive_(message_.bytes().subspan(
          context.batch.at<std::uint64_t>(context.batch.chunk_starts)[context.index])) {
    for (std::uint32_t item = 0; item < first; ++item) (void)take_sized(archive_);
}

}  // namespace multiprocessing::detail
