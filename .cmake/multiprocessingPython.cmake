# The target multiprocessing_python: the module multiprocessing_cpp, which programs of Python import
# to be processes of a family. It needs no header of Python's, and one file is for any Python from
# 3.8 on. It is built when it is asked for; then PYTHONPATH is to name the folder of the file:
# $<TARGET_FILE_DIR:multiprocessing_python>. Both the build tree and the installed package include
# this file.

get_property(multiprocessing_languages GLOBAL PROPERTY ENABLED_LANGUAGES)
if(TARGET multiprocessing_python OR NOT "CXX" IN_LIST multiprocessing_languages)
  return()
endif()

set(multiprocessing_source "${CMAKE_CURRENT_BINARY_DIR}/multiprocessing/python_module.cpp")
file(CONFIGURE OUTPUT "${multiprocessing_source}" CONTENT [=[
#include <multiprocessing/python/extension/module.hpp>

extern "C" [[gnu::visibility("default")]] void* PyInit_multiprocessing_cpp() {
    return multiprocessing::detail::pythons::extension::make_module();
}
]=])
add_library(multiprocessing_python MODULE EXCLUDE_FROM_ALL "${multiprocessing_source}")
unset(multiprocessing_source)

# Our own tests and examples have the library compiled once already.
if(MULTIPROCESSING_TEST_COMPILED AND NOT CMAKE_CXX_FLAGS MATCHES "fsanitize")
  target_link_libraries(multiprocessing_python PRIVATE multiprocessing_compiled)
else()
  target_link_libraries(multiprocessing_python PRIVATE multiprocessing::multiprocessing)
endif()
# Nothing of it may mix with what a program of C++ has that calls Python.
target_compile_options(multiprocessing_python PRIVATE
  -fvisibility=hidden $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
target_link_options(multiprocessing_python PRIVATE -Wl,--exclude-libs,ALL)
# The name that says to every Python: this file is for the stable ABI.
set_target_properties(multiprocessing_python PROPERTIES
  PREFIX "" OUTPUT_NAME multiprocessing_cpp SUFFIX ".abi3.so" CXX_SCAN_FOR_MODULES OFF
  LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/python")
