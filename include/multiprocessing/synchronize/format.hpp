// multiprocessing/synchronize/format.hpp
//
// fmt prints locks and the like as Python's repr does: <Lock(owner=None)>. Floor 2.
// synchronize.hpp includes this file when fmt was included before, see detail/format.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/format.hpp"
#include "multiprocessing/synchronize/barrier.hpp"
#include "multiprocessing/synchronize/condition.hpp"
#include "multiprocessing/synchronize/event.hpp"
#include "multiprocessing/synchronize/lock.hpp"
#include "multiprocessing/synchronize/semaphore.hpp"
