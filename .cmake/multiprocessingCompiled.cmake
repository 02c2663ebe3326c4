# The target multiprocessing::compiled: what does not depend on the user's types, compiled once. It
# is built by the project that uses it, when something links to it, with that project's compiler and
# options: sanitizers, optimisation at link time and the standard library's debug modes are then the
# same on both sides. Both the build tree and the installed package include this file.

get_property(multiprocessing_languages GLOBAL PROPERTY ENABLED_LANGUAGES)
if(TARGET multiprocessing_compiled OR NOT "CXX" IN_LIST multiprocessing_languages)
  return()
endif()

set(multiprocessing_source "${CMAKE_CURRENT_BINARY_DIR}/multiprocessing/src.cpp")
file(CONFIGURE OUTPUT "${multiprocessing_source}" CONTENT "#include <multiprocessing/src.hpp>\n")
add_library(multiprocessing_compiled STATIC EXCLUDE_FROM_ALL "${multiprocessing_source}")
add_library(multiprocessing::compiled ALIAS multiprocessing_compiled)
unset(multiprocessing_source)

target_link_libraries(multiprocessing_compiled PUBLIC multiprocessing::multiprocessing)
target_compile_definitions(multiprocessing_compiled PUBLIC MULTIPROCESSING_SEPARATE_COMPILATION)
# It may become a part of a shared library.
set_target_properties(multiprocessing_compiled PROPERTIES
  POSITION_INDEPENDENT_CODE ON CXX_SCAN_FOR_MODULES OFF)
