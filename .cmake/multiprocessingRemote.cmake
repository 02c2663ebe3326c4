# The target multiprocessing::remote: Listener, Client and what else remote.hpp has, which needs
# OpenSSL's libcrypto. Both the build tree and the installed package include this file. Where
# libcrypto is not found, a program that links to the target is told so, and all others build.

if(TARGET multiprocessing_remote)
  return()
endif()

if(NOT TARGET OpenSSL::Crypto)
  find_package(OpenSSL 3.0 QUIET COMPONENTS Crypto)
endif()
add_library(multiprocessing_remote INTERFACE IMPORTED GLOBAL)
add_library(multiprocessing::remote ALIAS multiprocessing_remote)
target_link_libraries(multiprocessing_remote INTERFACE multiprocessing::multiprocessing)
if(TARGET OpenSSL::Crypto)
  set(multiprocessing_remote_FOUND TRUE)
  target_link_libraries(multiprocessing_remote INTERFACE OpenSSL::Crypto)
else()
  set(multiprocessing_remote_FOUND FALSE)
  set(multiprocessing_remote_needs
    "multiprocessing::remote needs OpenSSL's libcrypto 3.0 or newer, which was not found: install \
libssl-dev (Debian, Ubuntu) or openssl-devel (Fedora), or set OPENSSL_ROOT_DIR")
  # There is no such target, so CMake stops and prints this name.
  target_link_libraries(multiprocessing_remote INTERFACE
    "OpenSSL::Crypto__which_multiprocessing::remote_needs__install_libssl-dev")
endif()
