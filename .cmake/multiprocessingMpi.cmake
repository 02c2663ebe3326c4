# The target multiprocessing::mpi: what mpi.hpp needs besides, which is an MPI library. Both the
# build tree and the installed package include this file. Where there is none, a program that links
# to the target is told so, and all others build. MPI's own C++ bindings, which MPI 3 has removed,
# are not linked.

if(TARGET multiprocessing_mpi)
  return()
endif()

if(NOT TARGET MPI::MPI_CXX)
  set(MPI_CXX_SKIP_MPICXX TRUE)
  find_package(MPI QUIET COMPONENTS CXX)
endif()
add_library(multiprocessing_mpi INTERFACE IMPORTED GLOBAL)
add_library(multiprocessing::mpi ALIAS multiprocessing_mpi)
target_link_libraries(multiprocessing_mpi INTERFACE multiprocessing::multiprocessing)
if(TARGET MPI::MPI_CXX)
  set(multiprocessing_mpi_FOUND TRUE)
  target_link_libraries(multiprocessing_mpi INTERFACE MPI::MPI_CXX)
else()
  set(multiprocessing_mpi_FOUND FALSE)
  set(multiprocessing_mpi_needs
    "multiprocessing::mpi needs an MPI library, which was not found: install libopenmpi-dev and \
openmpi-bin (Debian, Ubuntu) or openmpi-devel (Fedora), or set MPI_HOME")
  # There is no such target, so CMake stops and prints this name.
  target_link_libraries(multiprocessing_mpi INTERFACE
    "MPI::MPI_CXX__which_multiprocessing::mpi_needs__install_libopenmpi-dev")
endif()
