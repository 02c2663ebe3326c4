// multiprocessing/pool/batch.hpp
//
// How a call becomes a batch in the heap, how a worker runs a chunk of it, and how the results come
// back. Items and results that are plain bytes lie in the batch as arrays; others are serialised,
// the items of a chunk one after the other, the results in segments. Floor 5. Start at make_batch.
// SPDX-License-Identifier: MIT
#pragma once

#include <signal.h>

#include <cstdint>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <ranges>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/pool/board.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

inline std::uint64_t to_bits(const sigset_t& set) noexcept {
    std::uint64_t bits = 0;
    for (int number = 1; number < 64; ++number) {
        if (::sigismember(&set, number) == 1) bits |= std::uint64_t{1} << number;
    }
    return bits;
}
inline sigset_t to_signal_set(std::uint64_t bits) noexcept {
    sigset_t set;
    ::sigemptyset(&set);
    for (int number = 1; number < 64; ++number) {
        if ((bits >> number & 1) != 0) ::sigaddset(&set, number);
    }
    return set;
}

/// A chunk as its worker sees it.
struct ChunkContext {
    Batch& batch;
    Chunk& chunk;
    std::uint32_t index;
    std::atomic<std::uint32_t>& item;  // where to say which item it is at
};

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
    return archive.read<RunnerFactory>()(archive);
}

/// Notes the error of an item of a chunk, unless an earlier item had one: map throws the first.
inline void record_error(Chunk& chunk, std::uint32_t item, std::exception_ptr error) {
    if (chunk.error.load(std::memory_order_relaxed) != 0) return;
    OutputArchive archive;
    archive(item);
    save_exception(archive, error, state().name(), ::getpid());
    chunk.error.store(heap().offset_of(make_payload(archive)), std::memory_order_release);
}

/// A piece of a chunk's results that are not plain bytes, at the beginning of its payload.
struct SegmentHead {
    Offset previous;      // the segment before it, 0 none
    std::uint32_t first;  // its first item
    std::uint32_t count;
};

/// Collects a chunk's results that are not plain bytes, and commits them.
template <class R>
class ResultWriter {
  public:
    explicit ResultWriter(const ChunkContext& context, std::uint32_t first)
        : chunk_(context.chunk), each_(context.batch.commit_each != 0), first_(first) {
        archive_(SegmentHead{});
    }

    /// @throws what serialising the result throws; the writer is then as it was before
    void add(const R& result) {
        const std::size_t size = archive_.size();
        try {
            archive_(result);
        } catch (...) {
            archive_.truncate(size);
            throw;
        }
        archive_.forget_shared();  // each result is read by an archive of its own
        ++count_;
        if (each_) commit();
    }

    /// Hands the results over: one store of the segment's place.
    void commit() {
        if (count_ == 0) return;
        const SegmentHead head{chunk_.output.load(std::memory_order_relaxed), first_, count_};
        archive_.overwrite(0, &head, sizeof head);
        chunk_.output.store(heap().offset_of(make_payload(archive_)), std::memory_order_release);
        archive_.clear();
        archive_(SegmentHead{});
        first_ += count_;
        count_ = 0;
    }

  private:
    Chunk& chunk_;
    bool each_;
    std::uint32_t first_;
    std::uint32_t count_ = 0;
    OutputArchive archive_;
};

/// Writes a result of plain bytes to its place in the batch.
template <class R>
class PlainResultWriter {
  public:
    PlainResultWriter(const ChunkContext& context, std::uint32_t first)
        : next_(context.batch.at<R>(context.batch.results) +
                std::size_t{context.index} * context.batch.chunk_size + first) {}

    void add(const R& result) noexcept { new (next_++) R(result); }
    void skip() noexcept { ++next_; }
    void commit() noexcept {}

  private:
    R* next_;
};

/// Counts nothing: the results of a function that returns none.
struct NoResultWriter {
    NoResultWriter(const ChunkContext&, std::uint32_t) noexcept {}
    void commit() noexcept {}
};

/// Reads the items of a chunk.
template <class Item>
class ItemReader {
  public:
    ItemReader(const ChunkContext& context, std::uint32_t first)
        : message_(heap().at(context.batch.message)),
          archive_(message_.bytes().subspan(
                       context.batch.at<std::uint64_t>(context.batch.chunk_starts)[context.index]),
                   message_.handles()) {
        for (std::uint32_t item = 0; item < first; ++item) (void)next();
    }
    Item next() {
        archive_.forget_shared();
        return archive_.template read<Item>();
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

/// What one element of a range is kept as until `F` is called with it: for map as F's parameter,
/// for starmap as the tuple of F's parameters.
template <class F, class Element, class Indices>
struct SpreadItem;
template <class F, class Element, std::size_t... I>
struct SpreadItem<F, Element, std::index_sequence<I...>> {
    template <std::size_t Index>
    using Part = decltype(std::get<Index>(std::declval<Element>()));
    using Type = stored_arguments_t<F, Part<I>...>;

    static constexpr bool fits = arguments_fit<F, Part<I>...>;
    static consteval void require_fit() { require_arguments_fit<F, Part<I>...>(); }
    static Type convert(Element&& element) {
        return store_arguments<F>(std::get<I>(std::forward<Element>(element))...);
    }
};
template <class F, class Element>
using SpreadItemOf =
    SpreadItem<F, Element,
               std::make_index_sequence<std::tuple_size_v<std::remove_cvref_t<Element>>>>;

/// What the elements are taken to be: where they are what F takes, values that need no conversion.
/// It may be impossible: a vector of unique_ptr gives lvalues, whose objects are only read.
template <class Element, class Value, class Item>
using GivenItem = std::conditional_t<std::is_same_v<Value, Item>, Value, Element>;

template <class F, class Element>
consteval auto stored_map_item() {
    using Value = std::remove_cvref_t<Element>;
    using Declared = std::tuple_element_t<0, stored_arguments_t<F, Value>>;
    using Given = GivenItem<Element, Value, Declared>;
    if constexpr (arguments_fit<F, Given>) {
        return std::type_identity<std::tuple_element_t<0, stored_arguments_t<F, Given>>>{};
    } else {
        require_arguments_fit<F, Given>();
        return std::type_identity<void>{};
    }
}
template <class F, class Element>
consteval auto stored_starmap_item() {
    using Value = std::remove_cvref_t<Element>;
    constexpr bool is_tuple = requires { std::tuple_size<Value>::value; };
    static_assert(is_tuple,
                  "multiprocessing: starmap needs a range of tuples, pairs or arrays, one element "
                  "for each parameter of the function; for a range of single items use map");
    if constexpr (!is_tuple) {
        return std::type_identity<void>{};
    } else {
        using Given = GivenItem<Element, Value, typename SpreadItemOf<F, Value>::Type>;
        if constexpr (SpreadItemOf<F, Given>::fits) {
            return std::type_identity<typename SpreadItemOf<F, Given>::Type>{};
        } else {
            SpreadItemOf<F, Given>::require_fit();
            return std::type_identity<void>{};
        }
    }
}
template <class F, class Element, bool spread>
consteval auto stored_item_type() {
    if constexpr (spread) {
        return stored_starmap_item<F, Element>();
    } else {
        return stored_map_item<F, Element>();
    }
}
/// void when F cannot be called with it; then the compilation has ended with the reason.
template <class F, class Element, bool spread>
using StoredItem = typename decltype(stored_item_type<F, Element, spread>())::type;

template <bool spread, class... Parameters>
consteval auto listed_item_type(TypeList<Parameters...>) {
    if constexpr (spread) {
        return std::type_identity<std::tuple<std::decay_t<Parameters>...>>{};
    } else {
        return std::type_identity<std::decay_t<parameter_t<void (*)(Parameters...), 0>>>{};
    }
}
template <bool spread>
consteval std::type_identity<unknown> listed_item_type(unknown) {
    return {};
}
/// What the items of a braced list are that do not say it themselves, as in starmap(f, {{1, 2}}).
template <class F, bool spread>
using ListedItem = typename decltype(listed_item_type<spread>(parameter_list_t<F>{}))::type;

/// Returns the element as an Item; itself, not a copy, where it is one.
template <class F, class Item, bool spread, class Element>
decltype(auto) convert_item(Element&& element) {
    if constexpr (std::is_same_v<std::remove_cvref_t<Element>, Item>) {
        return std::forward<Element>(element);
    } else if constexpr (spread) {
        return SpreadItemOf<F, Element&&>::convert(std::forward<Element>(element));
    } else {
        return static_cast<Item>(std::forward<Element>(element));
    }
}

/// How a function is called with one item: map gives the item, starmap spreads it.
template <class F, class Item, bool spread>
struct ItemCall {
    static decltype(auto) call(F& f, Item& item) {
        if constexpr (spread) {
            return invoke_stored(f, item);
        } else {
            auto arguments = std::forward_as_tuple(item);
            return invoke_with(f, arguments);
        }
    }
    using Result = std::decay_t<decltype(call(std::declval<F&>(), std::declval<Item&>()))>;
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
                record_error(context.chunk, item, std::current_exception());
                if constexpr (requires { results.skip(); }) results.skip();
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

/// Reads the head of a segment of results.
inline SegmentHead segment_head(Offset segment) noexcept {
    SegmentHead head;
    std::memcpy(&head, PayloadView(heap().at(segment)).bytes().data(), sizeof head);
    return head;
}

/// Frees what a batch holds beside its own block. @pre nobody runs or reads it any more
inline void discard_contents(Batch& batch) noexcept {
    for (std::uint32_t index = 0; index < batch.chunk_count(); ++index) {
        Chunk& chunk = batch.chunks()[index];
        if (const Offset error = chunk.error.exchange(0)) destroy_payload(heap().at(error));
        Offset segment = chunk.output.exchange(0);
        while (segment != 0) {
            const Offset previous = segment_head(segment).previous;
            destroy_payload(heap().at(segment));
            segment = previous;
        }
    }
    if (const Offset message = std::exchange(batch.message, 0)) {
        destroy_payload(heap().at(message));
    }
}

/// Owns a batch until it is handed to the pool, so that an error on the way leaves nothing behind.
struct BatchDeleter {
    std::uint32_t depth = fork_depth();

    void operator()(Batch* batch) const noexcept {
        if (depth != fork_depth()) return;  // a forked child's copy of a pool
        discard_contents(*batch);
        deallocate(batch);
    }
};
using BatchOwner = std::unique_ptr<Batch, BatchDeleter>;

constexpr std::uint64_t round_up(std::uint64_t size) noexcept {
    return (size + block_alignment - 1) / block_alignment * block_alignment;
}

/// The sizes of a batch's parts.
struct BatchShape {
    std::uint64_t items;
    std::uint32_t chunk_size;
    std::size_t item_size;    // 0: serialised
    std::size_t result_size;  // 0: none, or serialised
};

/// Allocates a batch of that shape, its items and message still to be filled in.
/// @throws std::bad_alloc
inline BatchOwner allocate_batch(const BatchShape& shape) {
    const std::uint64_t chunks = (shape.items + shape.chunk_size - 1) / shape.chunk_size;
    if (chunks >= no_chunk)
        throw ValueError("more than 4,294,967,294 chunks: use a larger chunksize");
    const std::uint64_t starts = round_up(sizeof(Batch) + chunks * sizeof(Chunk));
    const std::uint64_t items = round_up(starts + (shape.item_size == 0 ? chunks * 8 : 0));
    const std::uint64_t results = round_up(items + shape.items * shape.item_size);
    const std::uint64_t size = results + shape.items * shape.result_size;
    void* const block = allocate(size);
    // Only the head and the chunks need to be zero; the rest is written before it is read.
    std::memset(block, 0, starts);
    BatchOwner batch(static_cast<Batch*>(block));
    batch->whole.end = static_cast<std::uint32_t>(chunks);
    batch->whole.batch = heap().offset_of(block);
    batch->item_count = shape.items;
    batch->chunk_size = shape.chunk_size;
    batch->chunk_starts = starts;
    batch->items = items;
    batch->results = results;
    batch->size = size;
    return batch;
}

template <class T>
constexpr std::size_t plain_size() noexcept {
    if constexpr (std::is_void_v<T>) {
        return 0;
    } else {
        return bitwise<T> ? sizeof(T) : 0;
    }
}

/// Makes the batch that calls `f` for each item of `range`.
/// @param count how many items the range has
template <class F, class Item, bool spread, class Range>
BatchOwner make_batch(const F& f, Range&& range, std::uint64_t count, std::uint32_t chunk_size) {
    using Runner = TypedRunner<F, Item, spread>;
    BatchOwner batch = allocate_batch(
        {count, chunk_size, plain_size<Item>(), plain_size<typename Runner::Result>()});
    OutputArchive archive;
    archive(RunnerFactory{Runner::receive}, f);
    std::uint64_t index = 0;
    auto* const starts = batch->at<std::uint64_t>(batch->chunk_starts);
    auto* const items = batch->at<Item>(batch->items);
    for (auto&& element : range) {
        if (index == count) break;  // a range that grew meanwhile
        decltype(auto) item =
            convert_item<F, Item, spread>(std::forward<decltype(element)>(element));
        if constexpr (bitwise<Item>) {
            new (items + index) Item(item);
        } else {
            if (index % chunk_size == 0) starts[index / chunk_size] = archive.size();
            archive.forget_shared();
            archive(static_cast<const Item&>(item));
        }
        ++index;
    }
    if (index != count) throw ValueError("the range ended before the size it gave");
    batch->message = heap().offset_of(make_payload(archive));
    return batch;
}

/// Throws the error of the first item that failed, if one did.
inline void throw_first_error(Batch& batch) {
    for (std::uint32_t index = 0; index < batch.chunk_count(); ++index) {
        const Offset error = batch.chunks()[index].error.load(std::memory_order_acquire);
        if (error == 0) continue;
        const PayloadView payload(heap().at(error));
        InputArchive archive(payload.bytes(), payload.handles());
        (void)archive.read<std::uint32_t>();
        std::rethrow_exception(load_exception(archive));
    }
}

/// Returns before which item the chunk's serialised results are committed.
inline std::uint32_t committed_items(const Chunk& chunk) noexcept {
    const Offset segment = chunk.output.load(std::memory_order_acquire);
    if (segment == 0) return 0;
    const SegmentHead head = segment_head(segment);
    return head.first + head.count;
}

/// Gives the memory of a batch's plain items and results back, where it is worth a system call: the
/// block itself stays until no worker looks at it, which may be at the pool's next call.
inline void release_arrays(Batch& batch) noexcept {
    constexpr std::uint64_t page = 4096;
    constexpr std::uint64_t worth_a_call = std::uint64_t{1} << 20;
    const Offset block = heap().offset_of(&batch);
    const Offset begin = (block + batch.items + page - 1) / page * page;
    const Offset end = block + batch.size;
    if (begin + worth_a_call < end) heap().segment().release_pages(begin, end - begin);
}

/// Appends the results of a chunk's segments, which are linked from the last to the first.
template <class R>
void read_segments(Offset last, std::vector<R>& results) {
    std::vector<Offset> segments;
    for (Offset segment = last; segment != 0; segment = segment_head(segment).previous) {
        segments.push_back(segment);
    }
    for (; !segments.empty(); segments.pop_back()) {
        const PayloadView payload(heap().at(segments.back()));
        InputArchive archive(payload.bytes(), payload.handles());
        const auto head = archive.read<SegmentHead>();
        for (std::uint32_t i = 0; i < head.count; ++i) {
            archive.forget_shared();
            results.push_back(archive.read<R>());
        }
    }
}

/// Returns the results of a complete batch, in input order. @throws the first failed item's error
template <class R>
std::vector<R> take_results(Batch& batch) {
    throw_first_error(batch);
    std::vector<R> results;
    if constexpr (bitwise<R>) {
        const R* const plain = batch.at<R>(batch.results);
        results.assign(plain, plain + batch.item_count);
    } else {
        results.reserve(batch.item_count);
        for (std::uint32_t index = 0; index < batch.chunk_count(); ++index) {
            read_segments(batch.chunks()[index].output.load(std::memory_order_acquire), results);
        }
    }
    return results;
}

}  // namespace multiprocessing::detail
