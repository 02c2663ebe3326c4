// multiprocessing/managers.hpp
//
// Dicts, lists and namespaces that processes share, and the Manager that makes them. Mirrors
// CPython Lib/multiprocessing/managers.py. Floor 6. Start at managers/manager.hpp.
//
// Then read managers/dict_proxy.hpp and list_proxy.hpp (what users call), managers/dict_state.hpp
// and list_state.hpp (what lies in memory), managers/container.hpp (locking), managers/word.hpp and
// key.hpp (values and keys). SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/managers/dict_proxy.hpp"
#include "multiprocessing/managers/list_proxy.hpp"
#include "multiprocessing/managers/manager.hpp"
#include "multiprocessing/managers/namespace_proxy.hpp"

#ifdef FMT_FORMAT_H_  // fmt/format.h
#include "multiprocessing/managers/format.hpp"
#endif
