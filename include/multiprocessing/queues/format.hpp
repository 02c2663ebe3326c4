// multiprocessing/queues/format.hpp
//
// fmt prints queues in the way of Python's repr: <Queue size=3 maxsize=10>. Floor 4.
// queues.hpp includes this file when fmt was included before, see detail/format.hpp.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/format.hpp"
#include "multiprocessing/queues/joinable_queue.hpp"
#include "multiprocessing/queues/queue.hpp"
#include "multiprocessing/queues/simple_queue.hpp"
