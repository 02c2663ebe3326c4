// What the tests precompile: headers that do not change while we work, and cost much to parse.
// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "tests/catch.hpp"

#include <fmt/format.h>
#include <boost/interprocess/offset_ptr.hpp>
#include <boost/pfr/core.hpp>
#include <cereal/cereal.hpp>
