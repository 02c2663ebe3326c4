// multiprocessing/mpi/library.hpp
//
// The header of the MPI library, without its C++ bindings, which MPI 3 has removed. Floor 9.
// SPDX-License-Identifier: MIT
#pragma once

// Open MPI and MPICH each look for a macro of their own. Defined by the CMake target too.
#ifndef OMPI_SKIP_MPICXX
#define OMPI_SKIP_MPICXX 1
#endif
#ifndef MPICH_SKIP_MPICXX
#define MPICH_SKIP_MPICXX 1
#endif

#include <mpi.h>
