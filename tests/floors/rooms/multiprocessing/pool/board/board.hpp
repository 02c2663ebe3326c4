#include "multiprocessing/pool/calls/call.hpp"
