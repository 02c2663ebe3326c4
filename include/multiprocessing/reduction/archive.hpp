// multiprocessing/reduction/archive.hpp
//
// The archives that turn values into bytes and back, in memory. They are cereal archives, so a type
// with cereal functions works unchanged, but every value goes through the library's own dispatch
// (pickler.hpp), which knows faster ways for most. Mirrors CPython
// Lib/multiprocessing/reduction.py, ForkingPickler. Floor 2. Start at output_archive.hpp and
// input_archive.hpp; here both are made known to cereal.
//
// Both ends run the same program on the same machine: no byte order, no version numbers, no names.
// SPDX-License-Identifier: MIT
#pragma once

#include <cereal/access.hpp>

#include "multiprocessing/reduction/input_archive.hpp"
#include "multiprocessing/reduction/output_archive.hpp"

CEREAL_SETUP_ARCHIVE_TRAITS(multiprocessing::detail::InputArchive,
                            multiprocessing::detail::OutputArchive)

// CEREAL_REGISTER_ARCHIVE, which cereal.hpp defines, for the two archives: pointers to polymorphic
// classes then travel when the program includes <cereal/types/polymorphic.hpp>.
namespace cereal::detail {
template <class T, class BindingTag>
typename polymorphic_serialization_support<multiprocessing::detail::OutputArchive, T>::type
instantiate_polymorphic_binding(T*, multiprocessing::detail::OutputArchive*, BindingTag, adl_tag);
template <class T, class BindingTag>
typename polymorphic_serialization_support<multiprocessing::detail::InputArchive, T>::type
instantiate_polymorphic_binding(T*, multiprocessing::detail::InputArchive*, BindingTag, adl_tag);
}  // namespace cereal::detail
