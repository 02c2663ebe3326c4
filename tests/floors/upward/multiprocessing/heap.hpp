#include "multiprocessing/pool.hpp"
