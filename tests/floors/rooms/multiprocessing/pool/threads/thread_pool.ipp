#include "multiprocessing/pool/owner/crew.hpp"
