// multiprocessing/pool/tasks/runner.hpp
//
// How a worker runs a chunk of a batch: it reads the items, calls the function, and writes the
// results. Floor 5. Start at TypedRunner::run and CurrentRunner. SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include "multiprocessing/pool/tasks/items.hpp"
#include "multiprocessing/pool/tasks/results.hpp"
#include "multiprocessing/pool/tasks/retry_rule.hpp"

namespace multiprocessing::detail {

/// Runs chunks of a batch. The worker makes it from the batch's message.
class ChunkRunner {
  public:
    /// @param has_state whether a call can leave something behind in the function
    /// @param serialises_results whether a result is committed some time after its call
    ChunkRunner(bool has_state, bool serialises_results) noexcept
        : has_state_(has_state), serialises_results_(serialises_results) {}
    ChunkRunner(const ChunkRunner&) = delete;
    ChunkRunner& operator=(const ChunkRunner&) = delete;
    virtual ~ChunkRunner() = default;

    /// Runs the chunk's items that are not settled. What a call throws becomes its item's error,
    /// unless it is to be tried again.
    /// @throws ExitRequest; any other exception is a failure outside of the calls, see first_lost
    virtual RunEnd run(const ChunkContext& context) = 0;

    /// Returns the first item without a result or an error, after a run that threw.
    [[nodiscard]] std::uint32_t first_lost(const ChunkContext& context) const noexcept;
    [[nodiscard]] bool has_state() const noexcept { return has_state_; }

  protected:
    /// Ends this process if it is a copy of the worker that a call has made with fork(2), and that
    /// has returned from the call: the chunk is not its own.
    void leave_if_forked() const noexcept {
        if (fork_depth() == depth_) [[likely]]
            return;
        leave_as_copy();
    }

  private:
    [[noreturn, gnu::cold]] static void leave_as_copy() noexcept;

    const std::uint32_t depth_ = fork_depth();
    const bool has_state_;
    const bool serialises_results_;
};

using RunnerFactory = std::unique_ptr<ChunkRunner> (*)(InputArchive&);

/// A worker's runner. It serves the next chunk too, and also the next batch if that calls the same
/// function: to make another runner costs as much as to find and finish a small task. A function
/// with state is the exception: it is made anew for each chunk, as Python's is. So what calls leave
/// behind in it does not depend on which worker takes which chunk.
class CurrentRunner {
  public:
    /// Returns the runner that the batch's message asks for.
    /// @throws what reading the message throws
    ChunkRunner& get(const Batch& batch) {
        if (serial_ != batch.serial) {
            serial_ = 0;
            const PayloadView message(heap().at(batch.message));
            if (!is_for(message.bytes())) receive(message);
            serial_ = batch.serial;
        }
        return *runner_;
    }

    /// Drops the runner if it may serve one chunk only.
    void finish_chunk() noexcept {
        if (serial_ == 0 || !runner_->has_state()) return;
        serial_ = 0;
        runner_.reset();
    }

  private:
    /// Enough for a function without state: the addresses of the factory and of the function.
    static constexpr std::size_t most_bytes = 64;

    [[nodiscard]] bool is_for(std::span<const std::byte> message) const noexcept {
        if (size_ == 0 || message.size() < size_) return false;
        // By hand: there is little to compare, and after a sleep memcmp is in no cache.
        std::uint64_t difference = 0;
        for (std::size_t i = 0; i < size_; i += sizeof difference) {
            std::uint64_t mine = 0;
            std::uint64_t other = 0;
            std::memcpy(&mine, bytes_.data() + i, sizeof mine);
            std::memcpy(&other, message.data() + i, sizeof other);
            difference |= mine ^ other;
        }
        return difference == 0;
    }
    void receive(const PayloadView& message);

    std::uint64_t serial_ = 0;  // of the batch that it serves
    std::unique_ptr<ChunkRunner> runner_;
    std::size_t size_ = 0;  // of the part of the message that made it; 0: it cannot be kept
    std::array<std::byte, most_bytes> bytes_;
};

/// The part of ItemReader that does not depend on the type of the items.
class SerialisedItems {
  public:
    SerialisedItems(const ChunkContext& context, std::uint32_t first);

  protected:
    PayloadView message_;
    InputArchive archive_;
};

/// Reads the items of a chunk.
template <class Item>
class ItemReader : public SerialisedItems {
  public:
    using SerialisedItems::SerialisedItems;

    Item next() {
        InputArchive item(take_sized(archive_), message_.handles());
        item.keep_message();  // another worker may have to try again
        return item.read<Item>();
    }
};

template <class Item>
    requires bitwise<Item>
class ItemReader<Item> {
  public:
    ItemReader(const ChunkContext& context, std::uint32_t first)
        : next_(context.batch.at<Item>(context.batch.items) +
                std::size_t{context.index} * context.batch.chunk_size + first) {}
    Item next() noexcept { return *next_++; }

  private:
    const Item* next_;
};

/// Runs chunks of calls of an F with Items.
template <class F, class Item, bool spread>
class TypedRunner final : public ChunkRunner {
  public:
    using Call = ItemCall<F, Item, spread>;
    using Result = typename Call::Result;

    explicit TypedRunner(F f)
        : ChunkRunner(!std::is_pointer_v<F> && !std::is_empty_v<F>,
                      !std::is_void_v<Result> && !bitwise<Result>),
          f_(std::move(f)) {}

    static std::unique_ptr<ChunkRunner> receive(InputArchive& archive) {
        return std::make_unique<TypedRunner>(archive.read<F>());
    }

    [[gnu::hot]] RunEnd run(const ChunkContext& context) override {
        const std::uint32_t size = context.batch.size_of(context.index);
        std::uint32_t item = context.chunk.start;
        ItemReader<Item> items(context, item);
        Writer results(context, item);
        for (; item < size; ++item) {
            // relaxed: only the owner reads it, in case this process dies in the call.
            context.item.store(item, std::memory_order_relaxed);
            try {
                run_item(items, results);
            } catch (const ExitRequest&) {
                throw;
            } catch (...) {
                leave_if_forked();
                const RunEnd next = next_try(context, item);
                if (next != RunEnd::finished) return results.commit(), next;
                record_error(context.batch, context.chunk, item, std::current_exception());
                results.skip();
            }
        }
        results.commit();
        return RunEnd::finished;
    }

  private:
    using Writer = std::conditional_t<
        std::is_void_v<Result>, NoResultWriter,
        std::conditional_t<bitwise<Result>, PlainResultWriter<Result>, ResultWriter<Result>>>;

    void run_item(ItemReader<Item>& items, Writer& results) {
        Item item = items.next();
        if constexpr (std::is_void_v<Result>) {
            Call::call(f_, item);
            leave_if_forked();
        } else {
            const Result& result = Call::call(f_, item);
            leave_if_forked();
            results.add(result);
        }
    }

    F f_;
};

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/pool/tasks/runner.ipp"
#endif
