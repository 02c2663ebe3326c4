# The target `docs`, where Doxygen is found: in docs/ of the build folder the README, a page for each
# topic of the guide with the public names that belong to it, and the other pages. A public name
# without a sentence is an error, as is every other warning.

find_package(Doxygen QUIET)
if(NOT DOXYGEN_FOUND)
  return()
endif()

set(DOXYGEN_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/docs")
set(DOXYGEN_USE_MDFILE_AS_MAINPAGE "${PROJECT_SOURCE_DIR}/README.md")
set(pages README.md examples/README.md examples/python/README.md benchmarks/README.md
  .github/CONTRIBUTING.md .github/CHANGES.md .github/SECURITY.md)
list(TRANSFORM pages PREPEND "${PROJECT_SOURCE_DIR}/")
file(GLOB results "${PROJECT_SOURCE_DIR}/benchmarks/results/*.md")
list(APPEND pages ${results})
set(DOXYGEN_IMAGE_PATH
  "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/examples" "${PROJECT_SOURCE_DIR}/benchmarks/results")
set(DOXYGEN_FILE_PATTERNS *.hpp)
set(DOXYGEN_STRIP_FROM_PATH "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}")
set(DOXYGEN_STRIP_FROM_INC_PATH "${PROJECT_SOURCE_DIR}/include")
set(DOXYGEN_EXCLUDE "${PROJECT_SOURCE_DIR}/include/multiprocessing/detail")
set(DOXYGEN_EXCLUDE_SYMBOLS
  multiprocessing::detail multiprocessing::detail::*
  multiprocessing::*::detail multiprocessing::*::detail::*
  cereal cereal::*
  # Public for other parts of the library: how a handle travels, how an object prints.
  multiprocessing::PoolInterface::* is_async_options stream backend_ buffersize_ shows_progress_
  shared_state from_shared_handle from_archive inherits_memory text_of
  # What the standard says of every container and iterator.
  value_type reference pointer difference_type iterator_concept iterator_category
  iterator const_iterator *::iterator)

set(DOXYGEN_INPUT_FILTER "${PROJECT_SOURCE_DIR}/.cmake/documentation.filter")
set(DOXYGEN_ALIASES [[titled{1}=\par \1^^]] [[topic{1}=\ingroup \1^^]])
set(DOXYGEN_INLINE_INHERITED_MEMB YES)

set(DOXYGEN_JAVADOC_AUTOBRIEF YES)  # the first sentence is the summary
set(DOXYGEN_EXTRACT_ALL NO)
set(DOXYGEN_DISTRIBUTE_GROUP_DOC YES)  # one sentence for all names between @{ and @}
set(DOXYGEN_WARN_IF_UNDOCUMENTED YES)
set(DOXYGEN_WARN_IF_DOC_ERROR YES)
set(DOXYGEN_WARN_IF_INCOMPLETE_DOC NO)  # a parameter that its name says all of needs no words
set(DOXYGEN_WARN_AS_ERROR FAIL_ON_WARNINGS)
set(DOXYGEN_QUIET YES)
set(DOXYGEN_HAVE_DOT NO)  # the same pages with and without Graphviz
set(DOXYGEN_CLASS_GRAPH NO)
set(DOXYGEN_GENERATE_LATEX NO)
set(DOXYGEN_GENERATE_TREEVIEW YES)
set(DOXYGEN_HTML_COLORSTYLE_SAT 60)
set(DOXYGEN_LAYOUT_FILE "${PROJECT_SOURCE_DIR}/.cmake/documentation.xml")
set(DOXYGEN_HTML_EXTRA_STYLESHEET "${PROJECT_SOURCE_DIR}/.cmake/documentation.css")
file(GLOB DOXYGEN_HTML_EXTRA_FILES "${PROJECT_SOURCE_DIR}/examples/*.cpp")  # the guide links to them
doxygen_add_docs(docs
  "${PROJECT_SOURCE_DIR}/.cmake/documentation.dox" ${pages} "${PROJECT_SOURCE_DIR}/include")
