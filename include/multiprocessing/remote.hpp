// multiprocessing/remote.hpp
//
// What lets a program talk with Python's multiprocessing, and with other programs of this library,
// also on other machines: Listener, Client, pickle, BaseManager. Mirrors CPython
// Lib/multiprocessing/connection.py and managers.py, whose bytes go over the wire. Floor 9. Start
// at remote/connection/listener.hpp or remote/managers/base_manager.hpp.
//
// Read on in remote/pickle/pickle.hpp (values as bytes that Python reads),
// remote/authentication/handshake.hpp (how both sides prove that they hold the key),
// remote/connection/listener_state.hpp (many handshakes at once), connection/python_frame.hpp
// (messages as bytes), remote/managers/server.hpp (requests and replies).
//
// It needs OpenSSL's libcrypto (the CMake target multiprocessing::remote), is no part of
// multiprocessing.hpp, and header-only also where the library is compiled once.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/remote/connection/address.hpp"
#include "multiprocessing/remote/connection/challenges.hpp"
#include "multiprocessing/remote/connection/client.hpp"
#include "multiprocessing/remote/connection/handles.hpp"
#include "multiprocessing/remote/connection/listener.hpp"
#include "multiprocessing/remote/managers/base_manager.hpp"
#include "multiprocessing/remote/managers/sync_manager.hpp"
#include "multiprocessing/remote/managers/typed_proxies.hpp"
#include "multiprocessing/remote/pickle/pickle.hpp"

#ifdef FMT_FORMAT_H_  // fmt/format.h
#include "multiprocessing/detail/format.hpp"
#endif
