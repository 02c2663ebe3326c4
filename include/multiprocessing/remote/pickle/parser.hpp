// multiprocessing/remote/pickle/parser.hpp
//
// Reads a pickle of protocol 2 to 5 into a Tree. Mirrors CPython Lib/pickle.py, _Unpickler, except
// that no code is ever run: what a message calls is known by its name, or refused.
// Floor 9. Start at parse. Read on in value_stack.hpp and calls.hpp. SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "multiprocessing/remote/pickle/calls.hpp"
#include "multiprocessing/remote/pickle/opcodes.hpp"
#include "multiprocessing/remote/pickle/source.hpp"
#include "multiprocessing/remote/pickle/tree.hpp"
#include "multiprocessing/remote/pickle/value_stack.hpp"

namespace multiprocessing::detail::pickles {

/// Runs a pickle, which is a program for a machine that has a stack of values and a memo.
class Parser {
  public:
    explicit Parser(std::string_view message, Attached attached = {})
        : source_(message), values_(source_, std::move(attached)), calls_(source_, values_) {}

    /// Runs the program. To be called once.
    Tree run();

  private:
    void take_frame();

    // Each executes the instructions of one sort, and returns whether this one is.
    bool step_plain(Opcode opcode);
    bool step_text(Opcode opcode);
    bool step_container(Opcode opcode);
    bool step_object(Opcode opcode);

    Source source_;
    ValueStack values_;
    Calls calls_;
};

/// Reads a pickle. The result refers to the message. @param attached what came beside it
/// @throws ValueError when it is damaged, beyond a limit, or of another protocol
/// @throws TypeError when it names a class or function that does not travel
Tree parse(std::string_view message, Attached attached = {});

}  // namespace multiprocessing::detail::pickles

#include "multiprocessing/remote/pickle/parser.ipp"
