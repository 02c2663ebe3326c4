// multiprocessing/reduction/picklers/cereal_types.hpp
//
// How types with cereal functions travel: the archives call the functions that the type has, as
// cereal/cereal.hpp does in its OutputArchive::processImpl. Floor 2. Start at Pickler.
//
// Differs: class versions are not written. The reader is the same program.
// SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/detail/requirements.hpp"
// It comes first, because cereal has requirements too.
#include <cereal/access.hpp>
#include <cereal/types/base_class.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "multiprocessing/reduction/archive/archive.hpp"
#include "multiprocessing/reduction/picklers/pickler.hpp"
#include "multiprocessing/reduction/types/kind.hpp"

namespace multiprocessing::detail {

template <class T>
void save_by_cereal(OutputArchive& archive, const T& constant) {
    using A = OutputArchive;
    namespace traits = cereal::traits;
    using cereal::access;
    [[maybe_unused]] const std::uint32_t version = cereal::detail::Version<T>::version;
    auto& value = const_cast<T&>(constant);  // serialize() reads and writes, so it is not const
    // A class may inherit one set of functions and have another. A specialization
    // (cereal/specialize.hpp) then chooses.
    constexpr bool free = !traits::is_specialized<T, A>::value;
    if constexpr (traits::has_member_serialize<T, A>::value &&
                  (free || traits::is_specialized_member_serialize<T, A>::value)) {
        access::member_serialize(archive, value);
    } else if constexpr (traits::has_non_member_serialize<T, A>::value &&
                         (free || traits::is_specialized_non_member_serialize<T, A>::value)) {
        CEREAL_SERIALIZE_FUNCTION_NAME(archive, value);
    } else if constexpr (traits::has_member_save<T, A>::value &&
                         (free || traits::is_specialized_member_save<T, A>::value)) {
        access::member_save(archive, constant);
    } else if constexpr (traits::has_non_member_save<T, A>::value &&
                         (free || traits::is_specialized_non_member_save<T, A>::value)) {
        CEREAL_SAVE_FUNCTION_NAME(archive, constant);
    } else if constexpr (traits::has_member_save_minimal<T, A>::value &&
                         (free || traits::is_specialized_member_save_minimal<T, A>::value)) {
        archive(access::member_save_minimal(archive, constant));
    } else if constexpr (traits::has_non_member_save_minimal<T, A>::value &&
                         (free || traits::is_specialized_non_member_save_minimal<T, A>::value)) {
        archive(CEREAL_SAVE_MINIMAL_FUNCTION_NAME(archive, constant));
    } else if constexpr (traits::has_member_versioned_serialize<T, A>::value) {
        access::member_serialize(archive, value, version);
    } else if constexpr (traits::has_non_member_versioned_serialize<T, A>::value) {
        CEREAL_SERIALIZE_FUNCTION_NAME(archive, value, version);
    } else if constexpr (traits::has_member_versioned_save<T, A>::value) {
        access::member_save(archive, constant, version);
    } else if constexpr (traits::has_non_member_versioned_save<T, A>::value) {
        CEREAL_SAVE_FUNCTION_NAME(archive, constant, version);
    } else if constexpr (traits::has_member_versioned_save_minimal<T, A>::value) {
        archive(access::member_save_minimal(archive, constant, version));
    } else {
        archive(CEREAL_SAVE_MINIMAL_FUNCTION_NAME(archive, constant, version));
    }
}

template <class T>
void load_by_cereal(InputArchive& archive, T& value) {
    using A = InputArchive;
    using Out = OutputArchive;
    namespace traits = cereal::traits;
    using cereal::access;
    [[maybe_unused]] const std::uint32_t version = cereal::detail::Version<T>::version;
    constexpr bool free = !traits::is_specialized<T, A>::value;
    if constexpr (traits::has_member_serialize<T, A>::value &&
                  (free || traits::is_specialized_member_serialize<T, A>::value)) {
        access::member_serialize(archive, value);
    } else if constexpr (traits::has_non_member_serialize<T, A>::value &&
                         (free || traits::is_specialized_non_member_serialize<T, A>::value)) {
        CEREAL_SERIALIZE_FUNCTION_NAME(archive, value);
    } else if constexpr (traits::has_member_load<T, A>::value &&
                         (free || traits::is_specialized_member_load<T, A>::value)) {
        access::member_load(archive, value);
    } else if constexpr (traits::has_non_member_load<T, A>::value &&
                         (free || traits::is_specialized_non_member_load<T, A>::value)) {
        CEREAL_LOAD_FUNCTION_NAME(archive, value);
    } else if constexpr (traits::has_member_load_minimal<T, A>::value &&
                         (free || traits::is_specialized_member_load_minimal<T, A>::value)) {
        using Minimal = typename traits::has_member_save_minimal<T, Out>::type;
        access::member_load_minimal(archive, value, load_value<Minimal>(archive));
    } else if constexpr (traits::has_non_member_load_minimal<T, A>::value &&
                         (free || traits::is_specialized_non_member_load_minimal<T, A>::value)) {
        using Minimal = typename traits::has_non_member_save_minimal<T, Out>::type;
        CEREAL_LOAD_MINIMAL_FUNCTION_NAME(archive, value, load_value<Minimal>(archive));
    } else if constexpr (traits::has_member_versioned_serialize<T, A>::value) {
        access::member_serialize(archive, value, version);
    } else if constexpr (traits::has_non_member_versioned_serialize<T, A>::value) {
        CEREAL_SERIALIZE_FUNCTION_NAME(archive, value, version);
    } else if constexpr (traits::has_member_versioned_load<T, A>::value) {
        access::member_load(archive, value, version);
    } else if constexpr (traits::has_non_member_versioned_load<T, A>::value) {
        CEREAL_LOAD_FUNCTION_NAME(archive, value, version);
    } else if constexpr (traits::has_member_versioned_load_minimal<T, A>::value) {
        using Minimal = typename traits::has_member_versioned_save_minimal<T, Out>::type;
        access::member_load_minimal(archive, value, load_value<Minimal>(archive), version);
    } else {
        using Minimal = typename traits::has_non_member_versioned_save_minimal<T, Out>::type;
        CEREAL_LOAD_MINIMAL_FUNCTION_NAME(archive, value, load_value<Minimal>(archive), version);
    }
}

template <class T>
struct Pickler<T, Kind::cereal> {
    using Elements = TypeList<>;  // only its functions know them; each of their calls is checked
    static constexpr std::size_t smallest = 0;

    static void save(OutputArchive& archive, const T& value) { save_by_cereal(archive, value); }
    static void load(InputArchive& archive, T& value) { load_by_cereal(archive, value); }
};

}  // namespace multiprocessing::detail
