// multiprocessing/process/target.hpp
//
// The function call that a Process will make, with its type forgotten. Memory carries it to the
// child (fork), or it travels as a message (spawn). Floor 3. SPDX-License-Identifier: MIT
#pragma once

#include <memory>
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

/// Whether `f(given...)` can be called.
template <class F, class... Given>
inline constexpr bool arguments_fit = fit_of<F, Given...>(parameter_list_t<F>{}) == Fit::fits;

template <class>
struct RequirePicklable;
/// Checks each type by itself: a message about an argument's type says more than one about the
/// tuple.
template <class... Ts>
struct RequirePicklable<std::tuple<Ts...>> {
    static consteval void each() { (require_picklable<Ts>(), ...); }
};

/// Stores the call `f(args...)`; the arguments are converted to f's parameter types now.
template <bool inherited, class F, class... Args>
std::unique_ptr<Target> make_target(F&& f, Args&&... args) {
    using Function = std::decay_t<F>;
    using Arguments = stored_arguments_t<Function, Args...>;
    // After a requirement that fails, nothing else is compiled: its errors would hide the message.
    if constexpr (!inherited && !portable_callable<Function>) {
        require_portable_callable<Function>();
        return nullptr;
    } else if constexpr (!arguments_fit<Function, Args...>) {
        require_arguments_fit<Function, Args...>();
        return nullptr;
    } else if constexpr (inherited) {
        return std::make_unique<InheritedTarget<Function, Arguments>>(
            std::forward<F>(f), store_arguments<Function>(std::forward<Args>(args)...));
    } else if constexpr (picklable<Arguments>) {
        return std::make_unique<PortableTarget<Function, Arguments>>(
            std::forward<F>(f), store_arguments<Function>(std::forward<Args>(args)...));
    } else {
        RequirePicklable<Arguments>::each();
        return nullptr;
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
    /// run() would never be called there. Pass a function instead, or use ForkProcess. Compilers
    /// show the line with the function's name, so that line has a remark.
    virtual void run() final {  // A spawned child has no copy of the object: pass it a function.
        if (target_) target_->run();
    }

  protected:
    std::unique_ptr<Target> target_;
};

}  // namespace multiprocessing::detail
