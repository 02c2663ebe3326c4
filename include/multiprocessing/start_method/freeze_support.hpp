// multiprocessing/start_method/freeze_support.hpp
//
// Where a program that its own family has started anew turns off from main. Floor 3.
// SPDX-License-Identifier: MIT
#pragma once

namespace multiprocessing {

/// Tells a child that runs the program anew from the program itself. Call it in the first line of
/// main. In a spawned child, and in the fork server, it does what that process is there for and
/// never returns; elsewhere it returns at once. Under fork alone it is not needed.
/// @par Source CPython Lib/multiprocessing/spawn.py, freeze_support
void freeze_support();

}  // namespace multiprocessing

#ifndef MULTIPROCESSING_SEPARATE_COMPILATION
#include "multiprocessing/start_method/freeze_support.ipp"
#endif
