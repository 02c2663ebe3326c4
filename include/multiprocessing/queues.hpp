// multiprocessing/queues.hpp
//
// First-in, first-out queues between the processes of a family: Queue, JoinableQueue, SimpleQueue.
// Mirrors CPython Lib/multiprocessing/queues.py. Floor 4. Start at queues/queue.hpp.
//
// Read on in queues/record.hpp (how items lie in memory), queues/line.hpp (where they are put and
// taken), queues/queue_state.hpp (locks and waiting), queues/item.hpp (values and items).
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/queues/joinable_queue.hpp"
#include "multiprocessing/queues/queue.hpp"
#include "multiprocessing/queues/simple_queue.hpp"

#ifdef FMT_FORMAT_H_  // fmt/format.h
#include "multiprocessing/queues/format.hpp"
#endif
