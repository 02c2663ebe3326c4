// multiprocessing/detail/requirements.hpp
//
// What the compiler must offer. If something is missing, one line says what, and the compilation
// ends without hundreds of errors. Floor 0. SPDX-License-Identifier: MIT
//
// Every header that includes no other of ours includes this one. Headers that include cereal
// include it before cereal. So it comes first, whichever header a program begins with.
#pragma once

#include <cstddef>  // exists since C++11; it tells which standard library this is
#if __has_include(<version>)
#include <version>
#endif

#if __cplusplus < 202002L
#error "multiprocessing needs C++20: compile with -std=c++20 (g++ 12 and clang++ 16 take C++17)"
#elif defined(__clang__) && __clang_major__ < 16
#error "multiprocessing needs Clang 16 or newer"
#elif !defined(__clang__) && defined(__GNUC__) && __GNUC__ < 12
#error "multiprocessing needs GCC 12 or newer"
#elif defined(_GLIBCXX_RELEASE) && _GLIBCXX_RELEASE < 12
#error \
    "multiprocessing needs the libstdc++ of GCC 12 or newer: clang++ takes it from the newest gcc"
#elif !defined(__linux__) || !(defined(__x86_64__) || defined(__aarch64__)) || !defined(__LP64__)
#error "multiprocessing runs on Linux on x86-64 or aarch64, in 64 bits"
#elif !defined(__cpp_exceptions)
#error "multiprocessing reports errors by exceptions: compile without -fno-exceptions"
#elif !defined(__cpp_rtti)
#error "multiprocessing and cereal tell types apart by typeid: compile without -fno-rtti"
#elif !defined(__cpp_lib_atomic_ref)
#error "multiprocessing needs std::atomic_ref: use libstdc++, or libc++ 19 or newer"
#else
#define MULTIPROCESSING_CAN_COMPILE
#endif

#ifndef MULTIPROCESSING_CAN_COMPILE
#include "the error is above"  // There is no such file, which ends the compilation.
#endif
#undef MULTIPROCESSING_CAN_COMPILE

#include "multiprocessing/detail/linkage.hpp"
