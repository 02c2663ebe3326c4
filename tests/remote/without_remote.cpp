// A file of test_objects that uses connections and does not include remote.hpp.
// SPDX-License-Identifier: MIT
#include <multiprocessing/connection.hpp>

void send_number(multiprocessing::Connection& connection, int number);
int receive_number(multiprocessing::Connection& connection);

void send_number(multiprocessing::Connection& connection, int number) { connection.send(number); }

int receive_number(multiprocessing::Connection& connection) { return connection.recv<int>(); }
