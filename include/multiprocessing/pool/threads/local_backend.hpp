// multiprocessing/pool/threads/local_backend.hpp
//
// How a pool within this process takes a call: like ProcessBackend, but without messages. Floor 5.
// Start at LocalBackend::submit. SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/pool/board/worker_log.hpp"
#include "multiprocessing/pool/calls/stream.hpp"
#include "multiprocessing/pool/calls/stream_input.hpp"
#include "multiprocessing/pool/captured.hpp"
#include "multiprocessing/pool/insight/history.hpp"
#include "multiprocessing/pool/tasks/items.hpp"
#include "multiprocessing/pool/threads/thread_call.hpp"

namespace multiprocessing::detail {

/// The compile error for what cannot be called in a thread.
template <class F>
struct CannotBeCalled {
    static constexpr bool is_function = is_function_like<F>();
    static_assert(is_function, "multiprocessing: this is not a function");
};
/// The compile error for an F that captures output, which threads have in common.
template <class F>
struct OutputIsShared {
    static constexpr bool captures = is_captured_call<F>;
    static_assert(!captures,
                  "multiprocessing: mp::captured needs worker processes: what the threads of a "
                  "ThreadPool print cannot be told apart. Use a Pool");
};

/// The refusal of calls of F in this process, whatever the arguments; void when there is none.
template <class F, bool output_is_shared>
using FunctionRefusal = std::conditional_t<
    !is_function_like<F>(), CannotBeCalled<F>,
    std::conditional_t<output_is_shared && is_captured_call<F>, OutputIsShared<F>, void>>;

/// The refusal of a call of F for an element of a range; void when a thread can make it.
template <class F, class Element, bool spread, bool output_is_shared>
consteval auto thread_item_refusal() {
    if constexpr (!std::is_void_v<FunctionRefusal<F, output_is_shared>>) {
        return std::type_identity<FunctionRefusal<F, output_is_shared>>{};
    } else {
        return std::type_identity<ItemRefusal<F, Element, spread>>{};
    }
}
/// The refusal of a call of F with arguments.
template <class F, bool output_is_shared, class... Args>
consteval auto thread_call_refusal() {
    if constexpr (!std::is_void_v<FunctionRefusal<F, output_is_shared>>) {
        return std::type_identity<FunctionRefusal<F, output_is_shared>>{};
    } else if constexpr (!arguments_fit<F, Args...>) {
        return std::type_identity<ArgumentRefusal<F, Args...>>{};
    } else {
        return std::type_identity<void>{};
    }
}

/// Returns the type that a call of F with arguments returns; where there can be no such call, what
/// F says that it returns.
template <class F, class... Args>
consteval auto thread_call_result() {
    using Function = std::decay_t<F>;
    if constexpr (!is_function_like<Function>()) {
        return std::type_identity<void>{};
    } else if constexpr (!arguments_fit<Function, Args...>) {
        return std::type_identity<declared_result_t<Function>>{};
    } else {
        using Item = stored_arguments_t<Function, Args...>;
        return std::type_identity<typename ItemCall<Function, Item, true>::Result>{};
    }
}
/// Does the same for a call of F with an element of a range.
template <class F, class Element, bool spread>
consteval auto thread_item_result() {
    using Function = std::decay_t<F>;
    if constexpr (!is_function_like<Function>()) {
        return std::type_identity<void>{};
    } else if constexpr (std::is_void_v<StoredItem<Function, Element, spread>>) {
        return std::type_identity<declared_result_t<Function>>{};
    } else {
        using Item = StoredItem<Function, Element, spread>;
        return std::type_identity<typename ItemCall<Function, Item, spread>::Result>{};
    }
}

/// Returns the type of an item that is used where it lies in the range; void when it is to be
/// copied. The type is constant, unless F takes the item to change it.
template <class F, class Element, class Item, bool spread>
consteval auto place_of() {
    if constexpr (!std::is_lvalue_reference_v<Element> ||
                  !std::is_same_v<std::remove_cvref_t<Element>, Item>) {
        return std::type_identity<void>{};
    } else if constexpr (spread || !std::is_same_v<parameter_t<F, 0>, Item&>) {
        return std::type_identity<const Item>{};
    } else if constexpr (std::is_same_v<Element, Item&>) {
        return std::type_identity<Item>{};
    } else {
        return std::type_identity<void>{};
    }
}
template <class F, class Element, class Item, bool spread>
using PlaceOf = typename decltype(place_of<F, Element, Item, spread>())::type;

/// Gives a stream's items to a crew.
template <class Crew, class F, class View, class R, bool spread>
class LocalSource final : public StreamSource<R> {
  public:
    LocalSource(std::shared_ptr<Crew> crew, F f, View view, std::size_t chunk_size)
        : crew_(std::move(crew)),
          f_(std::move(f)),
          input_(std::move(view)),
          chunk_size_(chunk_size) {}

    std::shared_ptr<PendingCall> feed(std::size_t most, std::size_t& items) override {
        using Element = std::ranges::range_reference_t<View>;
        std::vector<KeptItem<Item, void>> read;
        input_.read(read, most, (std::min)(chunk_size_, most),
                    [](Element&& element) -> KeptItem<Item, void> {
                        return {convert_item<F, Item, spread>(std::forward<Element>(element))};
                    });
        items = read.size();
        if (read.empty()) return nullptr;
        auto call = std::make_shared<TypedThreadCall<F, Item, spread, void>>(
            f_, std::move(read), static_cast<std::uint32_t>(chunk_size_));
        call->set_first_item(items_before_);
        items_before_ += items;
        crew_->submit(call, {.of_stream = true});
        return call;
    }

    void read(PendingCall& call, std::uint32_t chunk,
              std::deque<ItemOutcome<R>>& outcomes) override {
        static_cast<ResultCall<R>&>(call).take_chunk_outcomes(chunk, outcomes);
    }

    [[nodiscard]] Arrivals arrivals() const override { return crew_->arrivals(); }

  private:
    using Item = StoredItem<F, std::ranges::range_reference_t<View>, spread>;

    std::shared_ptr<Crew> crew_;
    F f_;
    StreamInput<View> input_;
    const std::size_t chunk_size_;
    std::uint64_t items_before_ = 0;
};

/// Gives calls to what runs them within this process.
/// @tparam Crew ThreadCrew, or SerialCrew
template <class Crew>
class LocalBackend {
  public:
    using Call = std::shared_ptr<PendingCall>;
    static constexpr bool runs_in_caller = Crew::runs_in_caller;

    template <class F, class Element, bool spread>
    using ItemResult = typename decltype(thread_item_result<F, Element, spread>())::type;
    template <class F, class... Args>
    using CallResult = typename decltype(thread_call_result<F, Args...>())::type;
    template <class F, bool spread>
    using ListedItem = detail::ListedItem<F, spread>;

    template <class F, class Element, bool spread>
    using RefusalOfItem =
        typename decltype(thread_item_refusal<F, Element, spread, !runs_in_caller>())::type;
    template <class F, class... Args>
    using RefusalOfCall =
        typename decltype(thread_call_refusal<F, !runs_in_caller, Args...>())::type;

    /// Makes the crew.
    /// @param traced chunks that each worker's log has room for
    void open(std::uint32_t threads, std::uint32_t traced, const TaskRules& rules,
              std::function<void()> initialize) {
        crew_ = std::make_shared<Crew>();
        crew_->start(threads, traced, rules, std::move(initialize));
    }

    template <class F, class... Args>
    static auto store_call(Args&&... args) {
        return std::array{store_arguments<F>(std::forward<Args>(args)...)};
    }

    /// Hands over a call of `f` for each of the `count` > 0 items of a range.
    /// @tparam waits whether the caller waits until the call is over: an item that is an lvalue in
    ///         the range is then used where it lies
    template <bool spread, bool waits, class F, class Range>
    Call submit(const F& f, Range& range, std::uint64_t count, std::uint32_t chunk_size,
                const CallWish& wish) const {
        using Element = std::ranges::range_reference_t<Range>;
        using Item = StoredItem<F, Element, spread>;
        if (!wish.timeout.is_forever()) throw_no_timeout();
        using Place = std::conditional_t<waits, PlaceOf<F, Element, Item, spread>, void>;
        constexpr bool in_place = !std::is_void_v<Place>;
        constexpr bool is_kept = in_place || std::is_constructible_v<Item, Element>;
        static_assert(is_kept,
                      "multiprocessing: a call that does not wait keeps its items, and these can "
                      "only be moved: give it a range that moves them, or wait for the call");
        std::vector<KeptItem<Item, Place>> items;
        items.reserve(count);
        for (auto&& element : range) {
            if constexpr (in_place) {
                items.push_back({std::addressof(element)});
            } else if constexpr (is_kept) {
                items.push_back(
                    {convert_item<F, Item, spread>(std::forward<decltype(element)>(element))});
            }
        }
        auto call = std::make_shared<TypedThreadCall<F, Item, spread, Place>>(f, std::move(items),
                                                                              chunk_size);
        crew_->submit(call, {.caller_waits = waits, .wish = wish});
        return call;
    }

    template <bool spread, class R, class F, class View>
    std::unique_ptr<StreamSource<R>> make_source(F f, View view, std::size_t chunk_size) const {
        return std::make_unique<LocalSource<Crew, F, View, R, spread>>(crew_, std::move(f),
                                                                       std::move(view), chunk_size);
    }
    void add_stream(const std::shared_ptr<StreamFeed>& feed) const { crew_->add_stream(feed); }

    void check_running() const { crew_->check_running(); }
    [[nodiscard]] std::uint32_t worker_count() const noexcept { return crew_->size(); }
    [[nodiscard]] const char* state_name() const noexcept { return crew_->state_name(); }
    void forget(const Call& call) const { crew_->forget(call); }
    [[nodiscard]] auto& courier() const noexcept { return crew_->courier(); }
    void resize(std::uint32_t workers) const { crew_->resize(workers); }
    void close() const { crew_->close(); }
    void terminate() const { crew_->terminate(); }
    void join() const { crew_->join(); }
    [[nodiscard]] LocalLogs logs() const { return crew_->logs(); }
    [[nodiscard]] History history() const { return crew_->history(); }
    void wait_for_records() const noexcept {}
    [[nodiscard]] const std::shared_ptr<Crew>& crew() const noexcept { return crew_; }

    template <class R>
    static ResultList<R> read_all(PendingCall& call) {
        return static_cast<ResultCall<R>&>(call).take_all();
    }
    template <class R>
    static R read_one(PendingCall& call) {
        return static_cast<ResultCall<R>&>(call).take_one();
    }

  private:
    std::shared_ptr<Crew> crew_;
};

}  // namespace multiprocessing::detail
