// multiprocessing/pool/owner/process_backend.hpp
//
// How a pool of processes takes a call: the checks at compile time, the batch, and the way back.
// PoolInterface (interface.hpp) makes of it what users see. Floor 5. Start at
// ProcessBackend::submit. SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>

#include "multiprocessing/pool/calls/stream.hpp"
#include "multiprocessing/pool/owner/process_source.hpp"
#include "multiprocessing/pool/owner/supervisor.hpp"
#include "multiprocessing/pool/tasks/batch.hpp"

namespace multiprocessing::detail {

/// The refusal of a call of F for an element of a range; void when a worker can make it.
template <class F, class Element, bool spread>
consteval auto portable_item_refusal() {
    if constexpr (!portable_callable<F>) {
        return std::type_identity<CallRefusal<F>>{};
    } else if constexpr (!std::is_void_v<ItemRefusal<F, Element, spread>>) {
        return std::type_identity<ItemRefusal<F, Element, spread>>{};
    } else {
        using Item = StoredItem<F, Element, spread>;
        using Result = typename ItemCall<F, Item, spread>::Result;
        if constexpr (!picklable<Item> && spread) {
            return std::type_identity<typename ElementsOf<Item>::Refusal>{};
        } else if constexpr (!picklable<Item>) {
            return std::type_identity<TravelRefusal<Item>>{};
        } else if constexpr (!std::is_void_v<Result> && !picklable<Result>) {
            return std::type_identity<TravelRefusal<Result>>{};
        } else {
            return std::type_identity<void>{};
        }
    }
}
/// The refusal of a call of F with arguments.
template <class F, class... Args>
consteval auto portable_call_refusal() {
    if constexpr (!portable_callable<F>) {
        return std::type_identity<CallRefusal<F>>{};
    } else if constexpr (!arguments_fit<F, Args...>) {
        return std::type_identity<ArgumentRefusal<F, Args...>>{};
    } else {
        return portable_item_refusal<F, const stored_arguments_t<F, Args...>&, true>();
    }
}

/// Returns the type that a call of F with arguments returns; where there can be no such call, what
/// F says that it returns.
template <class F, class... Args>
consteval auto portable_call_result() {
    using Function = std::decay_t<F>;
    if constexpr (!portable_callable<Function>) {
        return std::type_identity<declared_result_t<Function>>{};
    } else if constexpr (!arguments_fit<Function, Args...>) {
        return std::type_identity<declared_result_t<Function>>{};
    } else {
        using Item = stored_arguments_t<Function, Args...>;
        return std::type_identity<typename ItemCall<Function, Item, true>::Result>{};
    }
}
/// Does the same for a call of F with an element of a range.
template <class F, class Element, bool spread>
consteval auto portable_item_result() {
    using Function = std::decay_t<F>;
    if constexpr (!portable_callable<Function>) {
        return std::type_identity<declared_result_t<Function>>{};
    } else if constexpr (std::is_void_v<StoredItem<Function, Element, spread>>) {
        return std::type_identity<declared_result_t<Function>>{};
    } else {
        using Item = StoredItem<Function, Element, spread>;
        return std::type_identity<typename ItemCall<Function, Item, spread>::Result>{};
    }
}

/// Gives calls to a supervisor.
class ProcessBackend {
  public:
    static constexpr bool runs_in_caller = false;
    using Call = std::shared_ptr<PendingBatch>;

    /// What F returns for an element of a range, or for arguments.
    template <class F, class Element, bool spread>
    using ItemResult = typename decltype(portable_item_result<F, Element, spread>())::type;
    template <class F, class... Args>
    using CallResult = typename decltype(portable_call_result<F, Args...>())::type;

    template <class F, bool spread>
    using ListedItem = detail::ListedItem<F, spread>;

    void open(const SupervisorOptions& options, StartWorker start,
              std::shared_ptr<Target> initializer) {
        supervisor_ = Supervisor::make(options, start, std::move(initializer));
    }

    /// Why F cannot be called for an element of a range, or with arguments: a refusal, or void.
    template <class F, class Element, bool spread>
    using RefusalOfItem = typename decltype(portable_item_refusal<F, Element, spread>())::type;
    template <class F, class... Args>
    using RefusalOfCall = typename decltype(portable_call_refusal<F, Args...>())::type;

    /// Returns the single call of apply as a range of one item.
    template <class F, class... Args>
    static auto store_call(Args&&... args) {
        return std::array{store_arguments<F>(std::forward<Args>(args)...)};
    }

    /// Hands over a call of `f` for each of the `count` > 0 items of a range.
    /// @pre RefusalOfItem is void
    /// @tparam waits whether the caller waits until the call is over
    template <bool spread, bool waits, class F, class Range>
    Call submit(const F& f, Range& range, std::uint64_t count, std::uint32_t chunk_size,
                const CallWish& wish) const {
        using Item = StoredItem<F, std::ranges::range_reference_t<Range>, spread>;
        return supervisor_->submit(make_batch<F, Item, spread>(f, range, count, chunk_size),
                                   {.caller_waits = waits, .wish = wish});
    }

    /// Returns where a stream of calls of `f` for each element of a view comes from.
    template <bool spread, class R, class F, class View>
    std::unique_ptr<StreamSource<R>> make_source(F f, View view, std::size_t chunk_size) const {
        return std::make_unique<ProcessSource<F, View, R, spread>>(supervisor_, std::move(f),
                                                                   std::move(view), chunk_size);
    }
    void add_stream(const std::shared_ptr<StreamFeed>& feed) const {
        supervisor_->add_stream(feed);
    }

    void check_running() const { supervisor_->check_running(); }
    [[nodiscard]] std::uint32_t worker_count() const noexcept {
        return supervisor_->worker_count();
    }
    [[nodiscard]] const char* state_name() const noexcept { return supervisor_->state_name(); }
    void forget(const Call& call) const { supervisor_->forget(call); }
    [[nodiscard]] Courier& courier() const noexcept { return supervisor_->courier(); }

    // Called on a copy of the pointer: what these wait for, or log to, may destroy the pool.
    void resize(std::uint32_t workers) const { supervisor_->resize(workers); }
    void close() const { std::shared_ptr(supervisor_)->close(); }
    void terminate() const { std::shared_ptr(supervisor_)->terminate_and_wait(); }
    void join() const { std::shared_ptr(supervisor_)->join(); }
    [[nodiscard]] WorkerLogs logs() const noexcept { return supervisor_->board().logs(); }
    [[nodiscard]] History history() const { return supervisor_->history(); }
    void wait_for_records() const { supervisor_->wait_for_records(); }
    [[nodiscard]] const std::shared_ptr<Supervisor>& supervisor() const noexcept {
        return supervisor_;
    }
    /// Returns what an executor needs of it, see CallHome.
    [[nodiscard]] const std::shared_ptr<Supervisor>& home() const noexcept { return supervisor_; }

    /// Returns the results of a call that is over. @throws the first failed item's error
    template <class R>
    static ResultList<R> read_all(PendingCall& call) {
        Batch& batch = own_batch(call);
        if constexpr (std::is_void_v<R>) {
            throw_first_error(batch);
        } else {
            return read_results<R>(batch);
        }
    }
    /// Returns the only result of a call that is over. @throws its item's error
    template <class R>
    static R read_one(PendingCall& call) {
        return read_only_result<R>(own_batch(call));
    }

  private:
    static Batch& own_batch(PendingCall& call) {
        auto& pending = static_cast<PendingBatch&>(call);
        pending.check_own();
        return *pending;
    }

    std::shared_ptr<Supervisor> supervisor_;
};

}  // namespace multiprocessing::detail
