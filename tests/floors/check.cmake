# Usage: cmake -DROOT=include -P check.cmake
#
# Checks that each header includes headers of lower floors only, that within a floor only the parts
# of one thing include one another, and that there are no circles. The floors are the design's.

cmake_minimum_required(VERSION 3.23)
cmake_path(ABSOLUTE_PATH ROOT NORMALIZE)

# One line a part: its floor, then its headers (as regular expressions, below multiprocessing/).
# foo.hpp and the folder foo/ are one part. Parts of one floor do not know each other.
set(parts
  "0 errors timeout detail"
  "1 heap"
  "2 synchronize"
  "2 reduction"
  "2 logging"
  "3 process start_method util"
  "4 queues"
  "4 connection"
  "4 sharedctypes"
  "4 shared_objects"
  "4 shared_memory"
  "5 pool"
  "7 context dummy"
  "6 futures"
  "6 managers")

set(errors "")
set(headers "")
file(GLOB_RECURSE found RELATIVE "${ROOT}" "${ROOT}/*.hpp")
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

foreach(header IN LISTS headers)
  set(includes_of_${header} "")
  file(STRINGS "${ROOT}/${header}" lines REGEX "^ *# *include *[<\"]multiprocessing[./]")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^[^<\"]*[<\"]([^>\"]*)[>\"].*$" "\\1" included "${line}")
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
