# Usage: cmake -DROOT=include -P check.cmake
#
# Checks that each header includes headers of lower floors only, that within a floor only the parts
# of one thing include one another, and that there are no circles. The floors are the design's.
# Within a part that has rooms the same holds of these. What x.ipp includes counts as of x.hpp,
# which includes it wherever the library is not compiled by itself.

cmake_minimum_required(VERSION 3.23)
cmake_path(ABSOLUTE_PATH ROOT NORMALIZE)

# One line a part: its floor, then its headers (as regular expressions, below multiprocessing/).
# foo.hpp and the folder foo/ are one part. Parts of one floor do not know each other. The first of a
# line is the one that may have rooms.
set(parts
  "0 errors timeout detail"
  "1 heap"
  "2 reduction synchronize"
  "2 logging"
  "3 process start_method util"
  "4 queues"
  "4 connection"
  "4 sharedctypes"
  "4 shared_objects"
  "4 shared_memory"
  "5 pool"
  "5 log_handlers"
  "7 context dummy"
  "6 futures"
  "6 managers"
  "8 src"
  "9 remote"
  "9 mpi"
  "10 python")

# The optional parts are header-only also where the library is compiled once: src.hpp has none of
# their .ipp files, and their headers include these in either way.
set(always_header_only remote mpi python)

# The rooms of the big parts, in the same way: a floor within the part, then files or folders.
set(rooms_of_reduction
  "0 archive"
  "1 types"
  "2 picklers"
  "3 functions"
  "4 picklable"
  "5 callables"
  "5 exceptions")
set(rooms_of_pool
  "0 options"
  "0 captured"
  "0 board"
  "1 tasks"
  "1 insight"
  "2 calls"
  "3 worker"
  "4 owner"
  "4 threads")

set(rooms_of_remote
  "0 pickle"
  "1 authentication"
  "2 connection"
  "3 managers")

set(rooms_of_mpi
  "0 node_lost"
  "0 options"
  "0 library"
  "1 mailbox"
  "1 parts"
  "1 hosted_pool"
  "1 gathered_logs"
  "2 log_questions"
  "2 engine"
  "2 desk"
  "3 crew"
  "4 master"
  "5 node"
  "5 backend"
  "6 world"
  "7 pool"
  "8 executor")

set(rooms_of_python
  "0 api"
  "0 finder"
  "1 interpreter"
  "2 error"
  "3 values"
  "4 arrays"
  "5 containers"
  "6 views"
  "7 function"
  "8 passing"
  "9 process"
  "9 host"
  "9 extension")

set(errors "")
set(headers "")
file(GLOB_RECURSE found RELATIVE "${ROOT}" "${ROOT}/*.hpp")

# Sets room_VARIABLE and room_floor_VARIABLE in the caller's scope: where the header is in its part.
function(find_room header words variable)
  list(GET words 0 part)
  set(room_${variable} "" PARENT_SCOPE)
  set(room_floor_${variable} "" PARENT_SCOPE)
  if(NOT DEFINED rooms_of_${part} OR NOT header MATCHES "^multiprocessing/${part}/")
    return()
  endif()
  foreach(line IN LISTS rooms_of_${part})
    string(REGEX MATCH "^([0-9]+) (.*)$" _ "${line}")
    set(floor "${CMAKE_MATCH_1}")
    set(room "${CMAKE_MATCH_2}")
    if(header MATCHES "^multiprocessing/${part}/${room}(\\.hpp|/.*)$")
      set(room_${variable} "${room}" PARENT_SCOPE)
      set(room_floor_${variable} "${floor}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  set(room_${variable} "none" PARENT_SCOPE)
endfunction()
foreach(header IN LISTS found)
  set(floor_of_${header} "")
  if(header STREQUAL "multiprocessing.hpp")
    set(floor_of_${header} 8)
    set(part_of_${header} multiprocessing)
  endif()
  foreach(part IN LISTS parts)
    string(REPLACE " " ";" words "${part}")
    list(POP_FRONT words floor)
    foreach(word IN LISTS words)
      if(header MATCHES "^multiprocessing/${word}(\\.hpp|/.*)$")
        set(floor_of_${header} ${floor})
        set(part_of_${header} "${words}")
      endif()
    endforeach()
  endforeach()
  if(floor_of_${header} STREQUAL "")
    list(APPEND errors "${header} has no floor: give it one in tests/floors/check.cmake")
  else()
    list(APPEND headers "${header}")
  endif()
endforeach()

set(compiled_once "")
if(EXISTS "${ROOT}/multiprocessing/src.hpp")
  file(STRINGS "${ROOT}/multiprocessing/src.hpp" compiled_once REGEX "^#include .*\\.ipp")
endif()
foreach(header IN LISTS headers)
  set(includes_of_${header} "")
  file(STRINGS "${ROOT}/${header}" lines REGEX "^ *# *include *[<\"]multiprocessing[./]")
  string(REGEX REPLACE "\\.hpp$" ".ipp" definitions "${header}")
  if(EXISTS "${ROOT}/${definitions}")
    file(STRINGS "${ROOT}/${definitions}" more REGEX "^ *# *include *[<\"]multiprocessing[./]")
    if(NOT "#include \"${definitions}\"" IN_LIST lines)
      list(APPEND errors "${header} does not include ${definitions}")
    endif()
    if(compiled_once AND NOT "#include \"${definitions}\"" IN_LIST compiled_once
        AND NOT part_of_${header} IN_LIST always_header_only)
      list(APPEND errors "multiprocessing/src.hpp does not include ${definitions}")
    endif()
    list(APPEND lines ${more})
  endif()
  find_room("${header}" "${part_of_${header}}" of_header)
  if(room_of_header STREQUAL "none")
    list(APPEND errors "${header} is in no room: give it one in tests/floors/check.cmake")
  endif()
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^[^<\"]*[<\"]([^>\"]*)[>\"].*$" "\\1" included "${line}")
    if(included STREQUAL header OR included STREQUAL definitions)
      continue()
    endif()
    if(EXISTS "${ROOT}/${included}")
      string(REGEX REPLACE "\\.ipp$" ".hpp" included "${included}")
    endif()
    if(NOT included IN_LIST found)
      list(APPEND errors "${header} includes ${included}, which is not there")
    elseif(included IN_LIST headers)
      list(APPEND includes_of_${header} "${included}")
      set(above ${floor_of_${included}})
      if(above GREATER floor_of_${header})
        list(APPEND errors "${header} of floor ${floor_of_${header}} \
includes ${included} of floor ${above}")
      elseif(above EQUAL floor_of_${header}
          AND NOT part_of_${header} STREQUAL "${part_of_${included}}")
        list(APPEND errors "${header} includes ${included}, another part of floor ${above}")
      endif()
      if(part_of_${header} STREQUAL "${part_of_${included}}")
        find_room("${included}" "${part_of_${included}}" of_included)
        if(NOT room_floor_of_header STREQUAL "" AND NOT room_floor_of_included STREQUAL "")
          if(room_floor_of_included GREATER room_floor_of_header)
            list(APPEND errors "${header} includes ${included} of a room above")
          elseif(room_floor_of_included EQUAL room_floor_of_header
              AND NOT room_of_included STREQUAL room_of_header)
            list(APPEND errors "${header} includes ${included} of another room beside it")
          endif()
        endif()
      endif()
    endif()
  endforeach()
endforeach()

# Take away headers that include none of those left, until nothing changes: what stays is on or
# above a circle.
set(left "${headers}")
set(before "nothing yet")
while(NOT "${left}" STREQUAL "${before}")
  set(before "${left}")
  foreach(header IN LISTS before)
    set(is_free TRUE)
    foreach(included IN LISTS includes_of_${header})
      if(included IN_LIST left)
        set(is_free FALSE)
      endif()
    endforeach()
    if(is_free)
      list(REMOVE_ITEM left "${header}")
    endif()
  endforeach()
endwhile()
if(left)
  list(JOIN left ", " names)
  list(APPEND errors "circle of includes among: ${names}")
endif()

list(LENGTH found count)
if(count EQUAL 0)
  list(APPEND errors "no headers below ${ROOT}")
endif()
if(errors)
  list(JOIN errors "\n  " text)
  message(FATAL_ERROR "The floors are broken:\n  ${text}\n")
endif()
message(STATUS "${count} headers, each on its floor")
