// multiprocessing/pool/owner/process_source.hpp
//
// How a stream gives its items to worker processes, and reads what became of them. Floor 5.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <new>
#include <ranges>
#include <utility>
#include <vector>

#include "multiprocessing/pool/calls/stream.hpp"
#include "multiprocessing/pool/calls/stream_input.hpp"
#include "multiprocessing/pool/owner/supervisor.hpp"
#include "multiprocessing/pool/tasks/batch.hpp"
#include "multiprocessing/pool/tasks/results.hpp"

namespace multiprocessing::detail {

/// Appends what became of the items of a finished chunk.
/// @throws std::bad_alloc; the results stay readable
template <class R>
void read_outcomes(Batch& batch, std::uint32_t index, std::deque<ItemOutcome<R>>& outcomes) {
    const Chunk& chunk = batch.chunks()[index];
    const std::uint32_t size = batch.size_of(index);
    const std::size_t begin = outcomes.size();
    outcomes.resize(begin + size);
    if constexpr (!std::is_void_v<R> && !bitwise<R>) {
        for_each_result<R>(chunk, [&](std::uint32_t item, auto read) {
            try {
                outcomes[begin + item].value.emplace(read());
            } catch (const std::bad_alloc&) {
                throw;  // of this process, at this moment: no fault of the item's
            } catch (...) {
                outcomes[begin + item].error = std::current_exception();
            }
        });
    }
    const Offset any_error = chunk.error.load(std::memory_order_acquire);
    for (std::uint32_t item = 0; item < size; ++item) {
        ItemOutcome<R>& outcome = outcomes[begin + item];
        if (outcome.value || outcome.error) continue;
        const Offset error = any_error == 0 ? 0 : find_error(chunk, item);
        if (error != 0) {
            outcome.error =
                read_error(batch, error, std::uint64_t{index} * batch.chunk_size + item);
        } else if constexpr (std::is_void_v<R>) {
            outcome.value.emplace();
        } else if constexpr (bitwise<R>) {
            outcome.value.emplace(
                batch.at<R>(batch.results)[std::size_t{index} * batch.chunk_size + item]);
        } else {
            outcome.error = std::make_exception_ptr(
                ProcessError("a result is missing from what a worker has sent"));
        }
    }
}

/// Gives a stream's items, as batches, to whatever runs batches.
template <class F, class View, class R, bool spread>
class BatchSource : public StreamSource<R> {
  public:
    std::shared_ptr<PendingCall> feed(std::size_t most, std::size_t& items) final {
        using Element = std::ranges::range_reference_t<View>;
        std::vector<Item> read;
        input_.read(read, most, (std::min)(chunk_size_, most), [](Element&& element) -> Item {
            return convert_item<F, Item, spread>(std::forward<Element>(element));
        });
        items = read.size();
        if (read.empty()) return nullptr;
        auto batch = make_batch<F, Item, spread>(f_, read, read.size(),
                                                 static_cast<std::uint32_t>(chunk_size_));
        batch->first_item = items_before_;
        items_before_ += read.size();
        return submit(std::move(batch));
    }

    void read(PendingCall& call, std::uint32_t chunk, std::deque<ItemOutcome<R>>& outcomes) final {
        read_outcomes<R>(*static_cast<PendingBatch&>(call), chunk, outcomes);
    }

  protected:
    using Item = StoredItem<F, std::ranges::range_reference_t<View>, spread>;

    BatchSource(F f, View view, std::size_t chunk_size)
        : f_(std::move(f)), input_(std::move(view)), chunk_size_(chunk_size) {}

  private:
    virtual std::shared_ptr<PendingCall> submit(BatchOwner batch) = 0;

    F f_;
    StreamInput<View> input_;
    const std::size_t chunk_size_;
    std::uint64_t items_before_ = 0;
};

/// Gives a stream's items to a supervisor.
template <class F, class View, class R, bool spread>
class ProcessSource final : public BatchSource<F, View, R, spread> {
  public:
    ProcessSource(std::shared_ptr<Supervisor> supervisor, F f, View view, std::size_t chunk_size)
        : BatchSource<F, View, R, spread>(std::move(f), std::move(view), chunk_size),
          supervisor_(std::move(supervisor)) {}

    [[nodiscard]] Arrivals arrivals() const override { return supervisor_->arrivals(); }

  private:
    std::shared_ptr<PendingCall> submit(BatchOwner batch) override {
        return supervisor_->submit(std::move(batch), {.of_stream = true});
    }

    std::shared_ptr<Supervisor> supervisor_;
};

}  // namespace multiprocessing::detail
