#include <multiprocessing/connection.hpp>
