// multiprocessing/remote/pickle/parser.ipp
//
// What each instruction of a pickle does, see parser.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/pickle/parser.hpp"

namespace multiprocessing::detail::pickles {

inline void Parser::take_frame() {
    // Frames are for readers of streams. The message is there as a whole.
    if (source_.take_number<std::uint64_t>() > source_.remaining()) source_.fail("it is cut short");
}

inline bool Parser::step_plain(Opcode opcode) {
    Node node;
    switch (opcode) {
        case Opcode::none:
            return values_.push(node), true;
        case Opcode::new_true:
        case Opcode::new_false:
            node.kind = ValueKind::boolean;
            node.boolean = opcode == Opcode::new_true;
            return values_.push(node), true;
        case Opcode::int1:
            return values_.push_integer(source_.take_number<std::uint8_t>()), true;
        case Opcode::int2:
            return values_.push_integer(source_.take_number<std::uint16_t>()), true;
        case Opcode::int4:
            return values_.push_integer(source_.take_number<std::int32_t>()), true;
        case Opcode::long1:
            return values_.push_long(source_.take_number<std::uint8_t>()), true;
        case Opcode::long4:
            return values_.push_long(source_.take_number<std::uint32_t>()), true;
        case Opcode::float8:
            node.kind = ValueKind::real;
            node.real = source_.take_number<double>();
            return values_.push(node), true;
        default:
            return false;
    }
}

inline bool Parser::step_text(Opcode opcode) {
    using enum ValueKind;
    switch (opcode) {
        case Opcode::short_unicode:
            return values_.push_range(text, source_.take_number<std::uint8_t>()), true;
        case Opcode::unicode:
            return values_.push_range(text, source_.take_number<std::uint32_t>()), true;
        case Opcode::unicode8:
            return values_.push_range(text, source_.take_number<std::uint64_t>()), true;
        case Opcode::short_bytes:
            return values_.push_range(bytes, source_.take_number<std::uint8_t>()), true;
        case Opcode::bytes:
            return values_.push_range(bytes, source_.take_number<std::uint32_t>()), true;
        case Opcode::bytes8:
            return values_.push_range(bytes, source_.take_number<std::uint64_t>()), true;
        case Opcode::bytearray8:
            return values_.push_range(bytearray, source_.take_number<std::uint64_t>()), true;
        case Opcode::next_buffer:
            return values_.push_block(), true;
        case Opcode::readonly_buffer:
            return values_.make_readonly(), true;
        default:
            return false;
    }
}

inline bool Parser::step_container(Opcode opcode) {
    switch (opcode) {
        case Opcode::empty_tuple:
            return values_.push_container(ValueKind::tuple, {}), true;
        case Opcode::tuple1:
            return values_.push_tuple(1), true;
        case Opcode::tuple2:
            return values_.push_tuple(2), true;
        case Opcode::tuple3:
            return values_.push_tuple(3), true;
        case Opcode::tuple:
            return values_.collect(ValueKind::tuple), true;
        case Opcode::frozenset:
            return values_.collect(ValueKind::frozenset), true;
        case Opcode::empty_list:
            return values_.push_container(ValueKind::list, {}), true;
        case Opcode::empty_dict:
            return values_.push_container(ValueKind::dict, {}), true;
        case Opcode::empty_set:
            return values_.push_container(ValueKind::set, {}), true;
        case Opcode::append:
            return values_.add_one(1, ValueKind::list), true;
        case Opcode::set_item:
            return values_.add_one(2, ValueKind::dict), true;
        case Opcode::appends:
            return values_.add_many(ValueKind::list), true;
        case Opcode::set_items:
            return values_.add_many(ValueKind::dict), true;
        case Opcode::add_items:
            return values_.add_many(ValueKind::set), true;
        default:
            return false;
    }
}

inline bool Parser::step_object(Opcode opcode) {
    switch (opcode) {
        case Opcode::mark:
            return values_.mark(), true;
        case Opcode::pop:
            return values_.pop_any(), true;
        case Opcode::pop_mark:
            return (void)values_.since_mark(), values_.drop_to_mark(), true;
        case Opcode::memoize:
            return values_.remember_next(), true;
        case Opcode::put:
            return values_.remember(source_.take_number<std::uint8_t>()), true;
        case Opcode::long_put:
            return values_.remember(source_.take_number<std::uint32_t>()), true;
        case Opcode::get:
            return values_.recall(source_.take_number<std::uint8_t>()), true;
        case Opcode::long_get:
            return values_.recall(source_.take_number<std::uint32_t>()), true;
        case Opcode::global: {
            const std::string_view module = source_.take_line();
            return calls_.push_global(module, source_.take_line()), true;
        }
        case Opcode::stack_global:
            return calls_.push_global_of_stack(), true;
        case Opcode::reduce:
            return calls_.call(), true;
        case Opcode::new_object:
            return calls_.make_new(), true;
        case Opcode::build:
            return values_.set_state(), true;
        case Opcode::frame:
            return take_frame(), true;
        default:
            return false;
    }
}

inline Tree Parser::run() {
    if (source_.take_number<std::uint8_t>() != static_cast<unsigned char>(Opcode::proto)) {
        source_.fail("there is no pickle of protocol 2 or above");
    }
    const unsigned protocol = source_.take_number<std::uint8_t>();
    if (protocol < 2 || protocol > 5) source_.fail("it is of a protocol other than 2 to 5");
    for (;;) {
        const auto opcode = static_cast<Opcode>(source_.take_number<std::uint8_t>());
        if (opcode == Opcode::stop) return values_.finish();
        if (!step_plain(opcode) && !step_text(opcode) && !step_container(opcode) &&
            !step_object(opcode)) {
            source_.fail("it has an instruction that is not known here");
        }
    }
}

inline Tree parse(std::string_view message, Attached attached) {
    return Parser(message, std::move(attached)).run();
}

}  // namespace multiprocessing::detail::pickles
