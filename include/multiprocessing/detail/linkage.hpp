// multiprocessing/detail/linkage.hpp
//
// Header-only, or compiled once. Each x.hpp says what there is. x.ipp, beside it, has the functions
// that are not templates. By default x.hpp includes x.ipp, and the functions are inline. With
// MULTIPROCESSING_SEPARATE_COMPILATION it does not, and one file of the program has all of them: it
// includes <multiprocessing/src.hpp>. A program that mixes the two ways is refused by the linker,
// or, where a shared library brings the other way, when it starts. Floor 0.
// SPDX-License-Identifier: MIT
#pragma once

#ifdef MULTIPROCESSING_SEPARATE_COMPILATION
#define MULTIPROCESSING_INLINE
#else
#define MULTIPROCESSING_INLINE inline
#endif

extern "C" {

#ifdef MULTIPROCESSING_SEPARATE_COMPILATION

/// Defined by src.hpp. The reference below makes a program fail to link that has no such file; else
/// it might take by chance what it needs from a file of the header-only way.
extern const char multiprocessing_needs_a_file_that_includes_src_hpp;
[[gnu::used]] inline const char* const multiprocessing_compiled_way =
    &multiprocessing_needs_a_file_that_includes_src_hpp;

#else

/// src.hpp defines the same name, but not as thread_local. A linker refuses that, while it would
/// silently take one of two definitions that are alike.
[[gnu::used]] inline constinit thread_local char
    multiprocessing_is_header_only_here_but_compiled_elsewhere = 0;

/// src.hpp looks for this one at the start of the program: a linker compares no thread_local names
/// with those of shared libraries.
[[gnu::used]] inline void multiprocessing_header_only_way() {}

#endif

}  // extern "C"
