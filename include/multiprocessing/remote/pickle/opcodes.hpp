// multiprocessing/remote/pickle/opcodes.hpp
//
// The instructions of Python's pickle format, as far as they occur in what travels.
// Mirrors CPython Lib/pickle.py and Lib/pickletools.py, which describes each. Floor 9.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/requirements.hpp"

namespace multiprocessing::detail::pickles {

/// An instruction. The comments say what follows it in the message, or what it takes from the
/// stack.
enum class Opcode : unsigned char {
    proto = 0x80,            // one byte: the protocol
    frame = 0x95,            // 8 bytes: how many bytes belong to the frame
    stop = '.',              // the value on the stack is the result
    mark = '(',              // begins the items of a tuple, list, dict or set
    pop = '0',               // forgets the uppermost value or mark
    pop_mark = '1',          // forgets everything from the mark on
    none = 'N',              //
    new_true = 0x88,         //
    new_false = 0x89,        //
    int4 = 'J',              // 4 bytes, signed
    int1 = 'K',              // 1 byte, unsigned
    int2 = 'M',              // 2 bytes, unsigned
    long1 = 0x8a,            // a length of 1 byte, then two's complement
    long4 = 0x8b,            // a length of 4 bytes, then two's complement
    float8 = 'G',            // 8 bytes, big-endian
    short_unicode = 0x8c,    // a length of 1 byte, then UTF-8
    unicode = 'X',           // a length of 4 bytes
    unicode8 = 0x8d,         // a length of 8 bytes
    short_bytes = 'C',       // a length of 1 byte
    bytes = 'B',             // a length of 4 bytes
    bytes8 = 0x8e,           // a length of 8 bytes
    bytearray8 = 0x96,       // a length of 8 bytes; protocol 5
    next_buffer = 0x97,      // the next of the buffers that come beside the pickle; protocol 5
    readonly_buffer = 0x98,  // makes the uppermost value, a buffer, one that is only read
    empty_tuple = ')',       //
    tuple1 = 0x85,           // the uppermost value
    tuple2 = 0x86,           // the two uppermost
    tuple3 = 0x87,           // the three uppermost
    tuple = 't',             // the values from the mark on
    empty_list = ']',        //
    append = 'a',            // one value, to the list below it
    appends = 'e',           // the values from the mark on, to the list below
    empty_dict = '}',        //
    set_item = 's',          // a key and a value, to the dict below them
    set_items = 'u',         // those from the mark on, to the dict below
    empty_set = 0x8f,        //
    add_items = 0x90,        // the values from the mark on, to the set below
    frozenset = 0x91,        // the values from the mark on
    memoize = 0x94,          // remembers the uppermost value under the next number
    put = 'q',               // remembers it under a number of 1 byte
    long_put = 'r',          // remembers it under a number of 4 bytes
    get = 'h',               // the value that is remembered under a number of 1 byte
    long_get = 'j',          // the value that is remembered under a number of 4 bytes
    global = 'c',            // two lines: a module, and a name in it
    stack_global = 0x93,     // the same, as two values on the stack
    reduce = 'R',            // a callable and a tuple: the result of the call
    new_object = 0x81,       // a class and a tuple: a new object of the class
    build = 'b',             // a state, for the object below it
};

}  // namespace multiprocessing::detail::pickles
