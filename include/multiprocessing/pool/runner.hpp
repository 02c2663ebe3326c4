// multiprocessing/pool/runner.hpp
//
// How a worker runs a chunk of a batch: it reads the items, calls the function, writes the results.
// Floor 5. Start at TypedRunner::run and CurrentRunner. SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <type_traits>
#include <utility>

#include "multiprocessing/pool/items.hpp"
#include "multiprocessing/pool/results.hpp"

namespace multiprocessing::detail {

/// Runs chunks of a batch; made by the worker from the batch's message.
class ChunkRunner {
  public:
    /// @param has_state whether a call can leave something behind in the function
    explicit ChunkRunner(bool has_state) noexcept : has_state_(has_state) {}
    virtual ~ChunkRunner() = default;
    virtual void run(const ChunkContext& context) = 0;
    [[nodiscard]] bool has_state() const noexcept { return has_state_; }

  private:
    const bool has_state_;
};

using RunnerFactory = std::unique_ptr<ChunkRunner> (*)(InputArchive&);

/// A worker's runner. It serves the next batch too, if that calls the same function and the
/// function has no state: to make another costs as much as to find and finish a small task.
class CurrentRunner {
  public:
    /// Returns the runner that the batch's message asks for. @throws what reading the message
    /// throws
    ChunkRunner& get(const Batch& batch) {
        if (serial_ != batch.serial) {
            serial_ = 0;
            const PayloadView message(heap().at(batch.message));
            if (!is_for(message.bytes())) receive(message);
            serial_ = batch.serial;
        }
        return *runner_;
    }

  private:
    /// Of a function without state: the addresses of the factory and of the function.
    static constexpr std::size_t most_bytes = 64;

    [[nodiscard]] bool is_for(std::span<const std::byte> message) const noexcept {
        if (size_ == 0 || message.size() < size_) return false;
        // By hand: it is little, and after a sleep the library's function is in no cache.
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
    [[gnu::noinline]] void receive(const PayloadView& message) {
        size_ = 0;
        InputArchive archive(message.bytes(), message.handles());
        archive.keep_message();  // every worker reads it
        runner_ = archive.read<RunnerFactory>()(archive);
        const std::size_t size = message.bytes().size() - archive.remaining();
        if (runner_->has_state() || size > most_bytes || size % sizeof(std::uint64_t) != 0) return;
        std::memcpy(bytes_.data(), message.bytes().data(), size);
        size_ = size;
    }

    std::uint64_t serial_ = 0;  // of the batch that it serves
    std::unique_ptr<ChunkRunner> runner_;
    std::size_t size_ = 0;  // of the part of the message that it was made of, if it can be kept
    std::array<std::byte, most_bytes> bytes_;
};

/// Reads the items of a chunk.
template <class Item>
class ItemReader {
  public:
    ItemReader(const ChunkContext& context, std::uint32_t first)
        : message_(heap().at(context.batch.message)),
          archive_(message_.bytes().subspan(
              context.batch.at<std::uint64_t>(context.batch.chunk_starts)[context.index])) {
        for (std::uint32_t item = 0; item < first; ++item) (void)take_sized(archive_);
    }
    Item next() {
        InputArchive item(take_sized(archive_), message_.handles());
        item.keep_message();  // another worker may have to try again
        return item.read<Item>();
    }

  private:
    PayloadView message_;
    InputArchive archive_;
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
        : ChunkRunner(!std::is_pointer_v<F> && !std::is_empty_v<F>), f_(std::move(f)) {}

    static std::unique_ptr<ChunkRunner> receive(InputArchive& archive) {
        return std::make_unique<TypedRunner>(archive.read<F>());
    }

    [[gnu::hot]] void run(const ChunkContext& context) override {
        const std::uint32_t size = context.batch.size_of(context.index);
        std::uint32_t item = context.chunk.start;
        ItemReader<Item> items(context, item);
        Writer results(context, item);
        for (; item < size; ++item) {
            // relaxed: for the owner, should this process die in the call.
            context.item.store(item, std::memory_order_relaxed);
            try {
                run_item(items, results);
            } catch (const ExitRequest&) {
                throw;
            } catch (...) {
                record_error(context.batch, context.chunk, item, std::current_exception());
                results.skip();
            }
        }
        results.commit();
    }

  private:
    using Writer = std::conditional_t<
        std::is_void_v<Result>, NoResultWriter,
        std::conditional_t<bitwise<Result>, PlainResultWriter<Result>, ResultWriter<Result>>>;

    void run_item(ItemReader<Item>& items, Writer& results) {
        Item item = items.next();
        if constexpr (std::is_void_v<Result>) {
            Call::call(f_, item);
        } else {
            results.add(Call::call(f_, item));
        }
    }

    F f_;
};

}  // namespace multiprocessing::detail
