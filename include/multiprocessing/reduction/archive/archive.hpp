// multiprocessing/reduction/archive/archive.hpp
//
// The archives that turn values into bytes and back, in memory. They are cereal archives, so a type
// with cereal functions works unchanged. But every value goes through the library's own dispatch
// (pickler.hpp), which has a faster way for most types. Mirrors CPython
// Lib/multiprocessing/reduction.py, ForkingPickler. Floor 2. Start at output_archive.hpp and
// input_archive.hpp. This file makes both known to cereal.
//
// Both ends run the same program on the same machine. So a message has no byte order, no version
// numbers and no names.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/requirements.hpp"
// It comes first, because cereal has requirements too.
#include <cereal/access.hpp>

#include "multiprocessing/reduction/archive/input_archive.hpp"
#include "multiprocessing/reduction/archive/output_archive.hpp"

CEREAL_SETUP_ARCHIVE_TRAITS(multiprocessing::detail::InputArchive,
                            multiprocessing::detail::OutputArchive)

// This does for the two archives what CEREAL_REGISTER_ARCHIVE does, which cereal.hpp defines. With
// it, pointers to polymorphic classes travel when the program includes
// <cereal/types/polymorphic.hpp>.
namespace cereal::detail {
template <class T, class BindingTag>
typename polymorphic_serialization_support<multiprocessing::detail::OutputArchive, T>::type
instantiate_polymorphic_binding(T*, multiprocessing::detail::OutputArchive*, BindingTag, adl_tag);
template <class T, class BindingTag>
typename polymorphic_serialization_support<multiprocessing::detail::InputArchive, T>::type
instantiate_polymorphic_binding(T*, multiprocessing::detail::InputArchive*, BindingTag, adl_tag);
}  // namespace cereal::detail
