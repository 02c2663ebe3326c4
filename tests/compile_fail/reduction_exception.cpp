// An exception that cannot be made again.
// EXPECT: multiprocessing: this exception type cannot travel between processes
// EXPECT: register_exception
#include <multiprocessing/reduction.hpp>

class ParseError : public std::exception {
  public:
    ParseError(int line, int column) : line_(line), column_(column) {}
    int line_;
    int column_;
};

const bool registered = multiprocessing::register_exception<ParseError>();
