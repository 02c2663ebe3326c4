// multiprocessing/mpi/backend.hpp
//
// How a pool of nodes takes a call: as a pool of processes does, for what can go to another process
// of the same program can go to another machine, handles apart. PoolInterface
// (pool/calls/interface.hpp) makes of it what users see. Floor 9. Start at NodeBackend::submit.
// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/mpi/engine.hpp"
#include "multiprocessing/pool/calls/stream.hpp"
#include "multiprocessing/pool/calls/stream_input.hpp"
#include "multiprocessing/pool/owner/process_backend.hpp"
#include "multiprocessing/pool/owner/process_source.hpp"

namespace multiprocessing::detail {

/// What of calls of F with Items lies in a batch as plain bytes.
template <class F, class Item, bool spread>
constexpr PlainSizes plain_sizes() noexcept {
    return {plain_size<Item>(), plain_size<typename ItemCall<F, Item, spread>::Result>()};
}

/// The refusal of a handle, where the type shows it.
template <class T>
struct HandleStaysOnItsMachine {
    static constexpr bool is_of_one_machine = handle_type<T>;
    static_assert(!is_of_one_machine,
                  "multiprocessing: this is a handle (Queue, Lock, Value and the like), which "
                  "stands for memory of one machine: a pool of nodes cannot take it. Send what it "
                  "holds instead");
};
template <class T>
consteval auto handle_refusal() {
    if constexpr (handle_type<T>) {
        return std::type_identity<HandleStaysOnItsMachine<T>>{};
    } else {
        return std::type_identity<void>{};
    }
}
/// The refusal of the first handle among these types.
template <class T, class... Ts>
consteval auto first_handle_refusal() {
    if constexpr (handle_type<T> || sizeof...(Ts) == 0) {
        return handle_refusal<T>();
    } else {
        return first_handle_refusal<Ts...>();
    }
}
template <class Item>
struct HandleInItem {
    using Type = typename decltype(handle_refusal<Item>())::type;
};
template <class... Ts>
struct HandleInItem<std::tuple<Ts...>> {
    using Type = typename decltype(first_handle_refusal<Ts...>())::type;
};
template <>
struct HandleInItem<std::tuple<>> {
    using Type = void;
};

/// The refusal of a call of F for an element of a range; void when a node can make it.
template <class F, class Element, bool spread>
consteval auto node_item_refusal() {
    using Usual = typename decltype(portable_item_refusal<F, Element, spread>())::type;
    if constexpr (!std::is_void_v<Usual>) {
        return std::type_identity<Usual>{};
    } else {
        using Item = StoredItem<F, Element, spread>;
        using OfItem = typename HandleInItem<Item>::Type;
        using Result = typename ItemCall<F, Item, spread>::Result;
        if constexpr (!std::is_void_v<OfItem>) {
            return std::type_identity<OfItem>{};
        } else {
            return std::type_identity<typename HandleInItem<Result>::Type>{};
        }
    }
}
/// The refusal of a call of F with arguments.
template <class F, class... Args>
consteval auto node_call_refusal() {
    using Usual = typename decltype(portable_call_refusal<F, Args...>())::type;
    if constexpr (!std::is_void_v<Usual>) {
        return std::type_identity<Usual>{};
    } else {
        return node_item_refusal<F, const stored_arguments_t<F, Args...>&, true>();
    }
}

/// Gives a stream's items to an engine.
template <class F, class View, class R, bool spread>
class NodeSource final : public BatchSource<F, View, R, spread> {
  public:
    NodeSource(std::shared_ptr<NodeEngine> engine, F f, View view, std::size_t chunk_size)
        : BatchSource<F, View, R, spread>(std::move(f), std::move(view), chunk_size),
          engine_(std::move(engine)) {}

    [[nodiscard]] Arrivals arrivals() const override { return engine_->arrivals(); }

  private:
    using typename BatchSource<F, View, R, spread>::Item;

    std::shared_ptr<PendingCall> submit(BatchOwner batch) override {
        return engine_->submit(std::move(batch), plain_sizes<F, Item, spread>(),
                               {.of_stream = true});
    }

    std::shared_ptr<NodeEngine> engine_;
};

/// Gives calls to an engine.
class NodeBackend {
  public:
    static constexpr bool runs_in_caller = false;
    using Call = std::shared_ptr<PendingBatch>;

    template <class F, class Element, bool spread>
    using ItemResult = ProcessBackend::ItemResult<F, Element, spread>;
    template <class F, class... Args>
    using CallResult = ProcessBackend::CallResult<F, Args...>;
    template <class F, bool spread>
    using ListedItem = detail::ListedItem<F, spread>;

    template <class F, class Element, bool spread>
    using RefusalOfItem = typename decltype(node_item_refusal<F, Element, spread>())::type;
    template <class F, class... Args>
    using RefusalOfCall = typename decltype(node_call_refusal<F, Args...>())::type;

    void open(std::shared_ptr<NodeEngine> engine) { engine_ = std::move(engine); }

    template <class F, class... Args>
    static auto store_call(Args&&... args) {
        return ProcessBackend::store_call<F>(std::forward<Args>(args)...);
    }

    /// Hands over a call of `f` for each of the `count` > 0 items of a range.
    /// @pre RefusalOfItem is void
    template <bool spread, bool waits, class F, class Range>
    Call submit(const F& f, Range& range, std::uint64_t count, std::uint32_t chunk_size,
                const CallWish& wish) const {
        using Item = StoredItem<F, std::ranges::range_reference_t<Range>, spread>;
        return engine_->submit(make_batch<F, Item, spread>(f, range, count, chunk_size),
                               plain_sizes<F, Item, spread>(),
                               {.caller_waits = waits, .wish = wish});
    }

    template <bool spread, class R, class F, class View>
    std::unique_ptr<StreamSource<R>> make_source(F f, View view, std::size_t chunk_size) const {
        return std::make_unique<NodeSource<F, View, R, spread>>(engine_, std::move(f),
                                                                std::move(view), chunk_size);
    }
    void add_stream(const std::shared_ptr<StreamFeed>& feed) const { engine_->add_stream(feed); }

    void check_running() const { engine_->check_running(); }
    [[nodiscard]] std::uint32_t worker_count() const noexcept { return engine_->worker_count(); }
    [[nodiscard]] const char* state_name() const noexcept { return engine_->state_name(); }
    void forget(const Call& call) const { engine_->forget(call); }
    [[nodiscard]] Courier& courier() const noexcept { return engine_->courier(); }

    // Called on a copy of the pointer: what these wait for may destroy the pool.
    void close() const { std::shared_ptr(engine_)->close(); }
    void terminate() const { std::shared_ptr(engine_)->terminate(); }
    void join() const { std::shared_ptr(engine_)->join(); }
    void resize(std::uint32_t workers) const { std::shared_ptr(engine_)->resize(workers); }
    [[nodiscard]] const std::shared_ptr<NodeEngine>& engine() const noexcept { return engine_; }
    /// Returns what an executor needs of it, see CallHome.
    [[nodiscard]] const std::shared_ptr<NodeEngine>& home() const noexcept { return engine_; }

    template <class R>
    static ResultList<R> read_all(PendingCall& call) {
        return ProcessBackend::read_all<R>(call);
    }
    template <class R>
    static R read_one(PendingCall& call) {
        return ProcessBackend::read_one<R>(call);
    }

  private:
    std::shared_ptr<NodeEngine> engine_;
};

}  // namespace multiprocessing::detail
