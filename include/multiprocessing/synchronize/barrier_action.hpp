// multiprocessing/synchronize/barrier_action.hpp
//
// The action that the last party to come to a barrier runs. The process that makes the barrier, and
// children forked later, have the callable itself. Other processes read it from a message in the
// heap, which begins with the function that reads the rest. Floor 2.
// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "multiprocessing/reduction/archive/payload.hpp"
#include "multiprocessing/reduction/callables/callable.hpp"
#include "multiprocessing/reduction/functions/function_identity.hpp"

namespace multiprocessing::detail {

/// The callable itself, where this process has it.
using LocalAction = std::shared_ptr<const std::function<void()>>;

template <class F>
LocalAction make_local_action(F f) {
    if constexpr (std::is_null_pointer_v<F>) {
        return nullptr;
    } else {
        if constexpr (std::is_constructible_v<bool, const F&> && !std::is_empty_v<F>) {
            if (!static_cast<bool>(f)) return nullptr;  // an empty std::function, a null pointer
        }
        return std::make_shared<const std::function<void()>>(std::move(f));
    }
}

/// What the message of an action begins with: it reads the callable, and calls it.
using ActionReceiver = void (*)(InputArchive&);

/// Returns the message from which every process can run `f`; none if `f` cannot travel.
/// @throws std::bad_alloc
template <class F>
Payload make_portable_action(const F& f) {
    if constexpr (portable_callable<F>) {
        PayloadBuilder builder;
        builder.archive()(ActionReceiver{[](InputArchive& archive) {
            auto action = archive.read<F>();
            std::invoke(action);
        }});
        builder.archive()(f);
        return Payload(builder.finish());
    } else {
        return nullptr;
    }
}

/// Runs the action that a message has. The message stays.
void run_portable_action(const void* message);

}  // namespace multiprocessing::detail

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/synchronize/barrier_action.ipp"
#endif
