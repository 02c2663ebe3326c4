// multiprocessing/managers/format.hpp
//
// How fmt prints a manager's objects: the proxies as what they hold, in the way of Python's repr,
// and d[k] and l[i] as the values they stand for. managers.hpp includes this file when fmt was
// included before, see detail/format.hpp. Floor 6. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/format.hpp"
#include "multiprocessing/managers/dict_proxy.hpp"
#include "multiprocessing/managers/list_proxy.hpp"
#include "multiprocessing/managers/namespace_proxy.hpp"
