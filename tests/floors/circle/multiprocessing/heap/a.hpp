#include "multiprocessing/heap.hpp"
