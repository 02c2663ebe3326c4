// multiprocessing/context.hpp
//
// Contexts: the library's classes bound to one start method, chosen by name at compile time.
// Mirrors CPython Lib/multiprocessing/context.py. Floor 7. SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "multiprocessing/connection.hpp"
#include "multiprocessing/managers.hpp"
#include "multiprocessing/pool.hpp"
#include "multiprocessing/process.hpp"
#include "multiprocessing/queues.hpp"
#include "multiprocessing/sharedctypes.hpp"
#include "multiprocessing/start_method/fork.hpp"
#include "multiprocessing/start_method/forkserver.hpp"
#include "multiprocessing/start_method/freeze_support.hpp"
#include "multiprocessing/start_method/serial.hpp"
#include "multiprocessing/start_method/spawn.hpp"
#include "multiprocessing/synchronize.hpp"
#include "multiprocessing/timeout.hpp"

namespace multiprocessing {
namespace detail {

/// A string literal as a template argument.
template <std::size_t size>
struct Literal {
    char text[size]{};
    consteval Literal(const char (&literal)[size]) { std::copy_n(literal, size, text); }
    [[nodiscard]] constexpr std::string_view view() const { return {text, size - 1}; }
};

template <class>
inline constexpr bool never = false;

/// Returns what the context of a start method is called.
std::string context_name(std::string_view method);

/// Returns the names of all start methods, `first` before the others.
std::vector<std::string_view> start_methods_from(std::string_view first);

}  // namespace detail

/// The library with one start method: every factory makes objects that start their children by it.
///
///     auto ctx = mp::get_context<"spawn">();
///     auto pool = ctx.Pool(4);
template <class StartMethod>
class Context {
  public:
    /// Makes a process, as the constructor of BasicProcess does.
    template <class... Args>
    [[nodiscard]] auto Process(Args&&... args) const {
        return BasicProcess<StartMethod>(std::forward<Args>(args)...);
    }
    /// Makes a process with options.
    template <class... Args>
    [[nodiscard]] auto Process(ProcessOptions options, Args&&... args) const {
        return BasicProcess<StartMethod>(std::move(options), std::forward<Args>(args)...);
    }

    /// Makes a pool, as the constructor of BasicPool does.
    template <class... Args>
    [[nodiscard]] auto Pool(Args&&... args) const {
        return BasicPool<StartMethod>(std::forward<Args>(args)...);
    }
    /// Makes a pool with options.
    template <class... Args>
    [[nodiscard]] auto Pool(const PoolOptions& options, Args&&... args) const {
        return BasicPool<StartMethod>(options, std::forward<Args>(args)...);
    }

    /// Makes a pool of threads, which start no process.
    template <class... Args>
    [[nodiscard]] static auto ThreadPool(Args&&... args) {
        return multiprocessing::ThreadPool(std::forward<Args>(args)...);
    }

    /// @{
    /// Makes what the constructor of that name makes, the same under every start method.
    [[nodiscard]] static auto Lock() { return multiprocessing::Lock(); }
    [[nodiscard]] static auto RLock() { return multiprocessing::RLock(); }
    [[nodiscard]] static auto Semaphore(int value = 1) { return multiprocessing::Semaphore(value); }
    [[nodiscard]] static auto BoundedSemaphore(int value = 1) {
        return multiprocessing::BoundedSemaphore(value);
    }
    [[nodiscard]] static auto Condition() { return multiprocessing::Condition(); }
    [[nodiscard]] static auto Condition(const BasicLock& lock) {
        return multiprocessing::Condition(lock);
    }
    [[nodiscard]] static auto Event() { return multiprocessing::Event(); }
    template <class F = std::nullptr_t>
    [[nodiscard]] static auto Barrier(int parties, F action = {}, Timeout timeout = std::nullopt) {
        return multiprocessing::Barrier(parties, std::move(action), timeout);
    }
    [[nodiscard]] static auto Pipe(bool duplex = true) { return multiprocessing::Pipe(duplex); }
    template <class T>
    [[nodiscard]] static auto Value(const T& initial = T{}) {
        return multiprocessing::Value<T>(initial);
    }
    template <class T>
    [[nodiscard]] static auto Value(const T& initial, const BasicLock& lock) {
        return multiprocessing::Value<T>(initial, lock);
    }
    template <class T>
    [[nodiscard]] static auto RawValue(const T& initial = T{}) {
        return multiprocessing::RawValue<T>(initial);
    }
    template <class T, class... Args>
    [[nodiscard]] static auto Array(Args&&... args) {
        return multiprocessing::Array<T>(std::forward<Args>(args)...);
    }
    template <class T, class... Args>
    [[nodiscard]] static auto Array(std::initializer_list<T> items, const Args&... lock) {
        return multiprocessing::Array<T>(items, lock...);
    }
    template <class T, class Items>
    [[nodiscard]] static auto RawArray(Items&& items) {
        return multiprocessing::RawArray<T>(std::forward<Items>(items));
    }
    template <class T, class Items>
    [[nodiscard]] static auto RawArray(const ArrayOptions& options, Items&& items) {
        return multiprocessing::RawArray<T>(options, std::forward<Items>(items));
    }
    template <class T>
    [[nodiscard]] static auto RawArray(std::initializer_list<T> items) {
        return multiprocessing::RawArray<T>(items);
    }

    template <class T>
    [[nodiscard]] static auto Queue(int maxsize = 0) {
        return multiprocessing::Queue<T>(maxsize);
    }
    template <class T>
    [[nodiscard]] static auto JoinableQueue(int maxsize = 0) {
        return multiprocessing::JoinableQueue<T>(maxsize);
    }
    template <class T>
    [[nodiscard]] static auto SimpleQueue() {
        return multiprocessing::SimpleQueue<T>();
    }
    /// @}

    /// Makes a manager, whose pools have this start method.
    [[nodiscard]] static auto Manager() { return BasicManager<StartMethod>(); }

    /// @{
    /// As the functions of the library, with this start method.
    [[nodiscard]] static constexpr std::string_view get_start_method() noexcept {
        return StartMethod::name;
    }
    [[nodiscard]] constexpr Context get_context() const noexcept { return *this; }

    [[nodiscard]] static int cpu_count() { return multiprocessing::cpu_count(); }
    [[nodiscard]] static const CurrentProcess& current_process() {
        return multiprocessing::current_process();
    }
    [[nodiscard]] static auto parent_process() { return multiprocessing::parent_process(); }
    [[nodiscard]] static auto active_children() { return multiprocessing::active_children(); }
    static void freeze_support() { multiprocessing::freeze_support(); }
    /// @}

    friend std::string text_of(const Context&) { return "<" + name() + ">"; }

  protected:
    /// Returns what the class is called.
    static std::string name() { return detail::context_name(StartMethod::name); }
};

/// @{
/// The context of one start method, as get_context makes it.
using ForkContext = Context<start_method::fork>;
using SpawnContext = Context<start_method::spawn>;
using ForkServerContext = Context<start_method::forkserver>;
/// @}
/// Starts nothing: targets and tasks run in the caller, at once and in order, for the debugger.
/// While one runs, the whole program answers to its name, so this is for programs in one thread.
using SerialContext = Context<start_method::serial>;

/// Returns the context of the start method with that name: "fork", "spawn" or "forkserver"; or
/// "serial", which starts nothing. An unknown name does not compile.
template <detail::Literal name>
[[nodiscard]] constexpr auto get_context() noexcept {
    if constexpr (name.view() == start_method::fork::name) {
        return ForkContext();
    } else if constexpr (name.view() == start_method::spawn::name) {
        return SpawnContext();
    } else if constexpr (name.view() == start_method::forkserver::name) {
        return ForkServerContext();
    } else if constexpr (name.view() == start_method::serial::name) {
        return SerialContext();
    } else {
        static_assert(
            detail::never<std::integral_constant<detail::Literal<sizeof(name.text)>, name>>,
            "multiprocessing: get_context: there is no start method of this name; the "
            "start methods are \"fork\", \"spawn\" and \"forkserver\", and for the debugger "
            "\"serial\"");
    }
}

/// Does not compile. Differs: the start method is chosen at compile time, as by set_start_method.
template <class Name>
constexpr auto get_context(Name&&) noexcept {
    static_assert(detail::never<Name>,
                  "multiprocessing: the start method is chosen at compile time: write "
                  "mp::get_context<\"spawn\">(). A program that chooses when it runs has a branch "
                  "for each, whose code may be one template");
    return Context<default_start_method>();
}

/// Returns the context of the program's default start method.
[[nodiscard]] constexpr auto get_context() noexcept { return Context<default_start_method>(); }

/// Returns the name of the program's default start method.
[[nodiscard]] constexpr std::string_view get_start_method() noexcept {
    return default_start_method::name;
}

/// Returns the names of all start methods, the default first.
[[nodiscard]] inline std::vector<std::string_view> get_all_start_methods() {
    // Inline: the default is the including program's.
    return detail::start_methods_from(get_start_method());
}

/// Does not compile. Differs: Python sets the start method when the program runs. Here it decides
/// which programs compile (what a spawned child cannot be given), so it is known before.
template <class... Args>
void set_start_method(Args&&...) {
    static_assert(detail::never<std::tuple<Args...>>,
                  "multiprocessing: there is no set_start_method: the start method is chosen at "
                  "compile time. Compile with -DMULTIPROCESSING_START_METHOD=spawn, or use "
                  "get_context<\"spawn\">() for a part of the program");
}

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/context.ipp"
#endif
