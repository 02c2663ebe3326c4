// multiprocessing/pool/runner.hpp
//
// How a worker runs a chunk of a batch: it reads the items, calls the function, writes the results.
// Floor 5. Start at TypedRunner::run. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include "multiprocessing/pool/items.hpp"
#include "multiprocessing/pool/results.hpp"

namespace multiprocessing::detail {

/// Runs chunks of a batch; made by the worker from the batch's message.
class ChunkRunner {
  public:
    virtual ~ChunkRunner() = default;
    virtual void run(const ChunkContext& context) = 0;
};

using RunnerFactory = std::unique_ptr<ChunkRunner> (*)(InputArchive&);

/// Makes the runner that the batch's message asks for.
inline std::unique_ptr<ChunkRunner> receive_runner(Batch& batch) {
    const PayloadView message(heap().at(batch.message));
    InputArchive archive(message.bytes(), message.handles());
    archive.keep_message();  // every worker reads it
    return archive.read<RunnerFactory>()(archive);
}

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

    explicit TypedRunner(F f) : f_(std::move(f)) {}

    static std::unique_ptr<ChunkRunner> receive(InputArchive& archive) {
        return std::make_unique<TypedRunner>(archive.read<F>());
    }

    void run(const ChunkContext& context) override {
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
