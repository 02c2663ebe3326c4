// multiprocessing/remote/pickle/calls.hpp
//
// What a pickle's classes and calls of functions become. Nothing is run: a call of the closed set
// (globals.hpp) has a known result, or stands for itself. Floor 9. Start at Calls.
// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

#include "multiprocessing/remote/pickle/globals.hpp"
#include "multiprocessing/remote/pickle/source.hpp"
#include "multiprocessing/remote/pickle/tree.hpp"
#include "multiprocessing/remote/pickle/value_stack.hpp"

namespace multiprocessing::detail::pickles {

/// The instructions that name classes and make objects of them. They throw TypeError for what is
/// not of the closed set, or is called in a way that Python does not use.
class Calls {
  public:
    Calls(Source& source, ValueStack& values) noexcept : source_(source), values_(values) {}

    void push_global(std::string_view module, std::string_view name);
    /// Takes the two names from the stack.
    void push_global_of_stack();
    /// Takes a class or function and a tuple of arguments from the stack, and pushes the result.
    void call();
    /// The same, for `cls.__new__(cls, *arguments)`.
    void make_new();

  private:
    [[nodiscard]] const Tree& tree() const noexcept { return values_.tree(); }

    [[noreturn]] static void refuse_call(const Global& callee);
    void call_with(NodeNumber callee, NodeNumber arguments);
    void make_sequence(const Global& callee, ValueKind kind, const Node& arguments);
    void make_bytes(const Global& callee, ValueKind kind, const Node& arguments);
    void make_complex(const Global& callee, const Node& arguments);

    Source& source_;
    ValueStack& values_;
};

}  // namespace multiprocessing::detail::pickles

#include "multiprocessing/remote/pickle/calls.ipp"
