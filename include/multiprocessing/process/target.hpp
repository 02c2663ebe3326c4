// multiprocessing/process/target.hpp
//
// The function call that a Process will make, with its type forgotten. Memory carries it to the
// child (fork), or it travels as a message (spawn). Floor 3. SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "multiprocessing/errors.hpp"
#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

/// What a travelling target begins with: the function that reads the rest and makes the call.
using TargetReceiver = void (*)(InputArchive&);

/// Makes the call that a Target::save has written.
inline void run_received_target(InputArchive& archive) { archive.read<TargetReceiver>()(archive); }

/// A call waiting to be made in a child.
class Target {
  public:
    virtual ~Target() = default;

    /// Makes the call.
    virtual void run() = 0;

    /// Writes what another process needs to make the call, see run_received_target.
    virtual void save(OutputArchive& archive) const = 0;
};

/// A call of anything callable, for a child that has a copy of this memory.
template <class F, class Arguments>
class InheritedTarget final : public Target {
  public:
    InheritedTarget(F f, Arguments arguments)
        : f_(std::move(f)), arguments_(std::move(arguments)) {}

    void run() override { invoke_stored(f_, arguments_); }

    void save(OutputArchive&) const override {
        throw AssertionError("a target that is inherited does not travel");
    }

  private:
    F f_;
    Arguments arguments_;
};

/// A call that travels: the receiver runs `receive` on the bytes that save wrote.
template <class F, class Arguments>
class PortableTarget final : public Target {
  public:
    PortableTarget(F f, Arguments arguments) : f_(std::move(f)), arguments_(std::move(arguments)) {}

    void run() override { invoke_stored(f_, arguments_); }

    void save(OutputArchive& archive) const override {
        archive(TargetReceiver{receive});
        archive(f_, arguments_);
    }

  private:
    static void receive(InputArchive& archive) {
        auto f = archive.read<F>();
        auto arguments = archive.read<Arguments>();
        invoke_stored(f, arguments);
    }

    F f_;
    Arguments arguments_;
};

/// An object that a process runs, as it runs Python's subclasses of Process: it has fields, and a
/// run() that is called on the copy of it which the process has.
template <class F>
concept runs =
    std::is_class_v<F> && !is_function_like<F>() && requires(F& object) { object.run(); };

/// Calls run().
template <class F>
struct RunObject {
    void operator()(F& object) const { object.run(); }
};

/// Returns what processes with the target F are numbered under: "Process", or the class of an
/// object that runs.
template <class F>
consteval std::string_view process_kind() {
    if constexpr (runs<F>) {
        std::string_view name = type_name<F>();
        name = name.substr(0, name.find('<'));  // a template's arguments may have names with ::
        return name.substr(name.rfind(':') + 1);
    } else {
        return "Process";
    }
}

/// The refusal of the call `f(args...)` in a process, or void. @tparam inherited whether the
/// process has a copy of this one's memory
template <bool inherited, class F, class... Args>
consteval auto target_refusal() {
    if constexpr (!portable_callable<F> &&
                  (!inherited || std::is_convertible_v<F, std::string_view>)) {
        return std::type_identity<CallRefusal<F>>{};
    } else if constexpr (!arguments_fit<F, Args...>) {
        return std::type_identity<ArgumentRefusal<F, Args...>>{};
    } else if constexpr (inherited) {
        return std::type_identity<void>{};
    } else {
        return std::type_identity<typename ElementsOf<stored_arguments_t<F, Args...>>::Refusal>{};
    }
}

/// Stores the call `f(args...)`; the arguments are converted to f's parameter types now.
template <bool inherited, class F, class... Args>
std::unique_ptr<Target> make_target(F&& f, Args&&... args) {
    using Function = std::decay_t<F>;
    using Refusal = typename decltype(target_refusal<inherited, Function, Args...>())::type;
    if constexpr (runs<Function> && sizeof...(Args) == 0) {
        return make_target<inherited>(RunObject<Function>{}, std::forward<F>(f));
    } else if constexpr (!std::is_void_v<Refusal>) {
        static_cast<void>(sizeof(Refusal));
        return nullptr;
    } else {
        using Arguments = stored_arguments_t<Function, Args...>;
        using Made = std::conditional_t<inherited, InheritedTarget<Function, Arguments>,
                                        PortableTarget<Function, Arguments>>;
        return std::make_unique<Made>(std::forward<F>(f),
                                      store_arguments<Function>(std::forward<Args>(args)...));
    }
}

/// What a Process runs: its target, or what a subclass makes of it. A subclass can have a run() of
/// its own only where the child has a copy of the object.
template <bool inherits_memory>
class TargetRunner {
  public:
    TargetRunner() = default;
    TargetRunner(TargetRunner&&) noexcept = default;
    TargetRunner& operator=(TargetRunner&&) noexcept = default;
    virtual ~TargetRunner() = default;

    /// Runs in the child. Subclasses override it.
    virtual void run() {
        if (target_) target_->run();
    }

  protected:
    std::unique_ptr<Target> target_;
};

template <>
class TargetRunner<false> {
  public:
    TargetRunner() = default;
    TargetRunner(TargetRunner&&) noexcept = default;
    TargetRunner& operator=(TargetRunner&&) noexcept = default;
    virtual ~TargetRunner() = default;

    /// Runs the target. Final: the object itself does not exist in a spawned child, so a subclass's
    /// run() would never be called there. Let the class be no subclass, and give the object to a
    /// Process; or use ForkProcess. Compilers show the line with the function's name, so that line
    /// has a remark.
    virtual void run() final {  // no copy of it in a spawned child: Process p(Consumer{fields...})
        if (target_) target_->run();
    }

  protected:
    std::unique_ptr<Target> target_;
};

}  // namespace multiprocessing::detail
