#include "multiprocessing/heap/a.hpp"
