// multiprocessing/mpi/node_lost.ipp
//
// How a NodeLost travels: see node_lost.hpp. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/mpi/node_lost.hpp"

#include <typeinfo>

#include "multiprocessing/reduction.hpp"

namespace multiprocessing::detail {

struct NodeLostWay {
    static void save(OutputArchive& archive) {
        with_current_exception<NodeLost>([&](const NodeLost& error) {
            archive(std::string(error.what()), error.rank(), error.host(),
                    LostTask{error.item(), error.attempts(), error.reason()});
        });
    }
    static std::exception_ptr load(InputArchive& archive) {
        const auto what = load_value<std::string>(archive);
        const auto rank = load_value<int>(archive);
        const auto host = load_value<std::string>(archive);
        const auto task = load_value<LostTask>(archive);
        return caught([&] { throw NodeLost(what, rank, host, task); });
    }
};

inline void register_node_lost() {
    if (find_exception(typeid(NodeLost).name()) != nullptr) return;
    // Leaked on purpose: exceptions travel until the process ends.
    add_exception(new ExceptionWay{&typeid(NodeLost), nullptr, nullptr, 0, NodeLostWay::save,
                                   NodeLostWay::load, nest_one_of<NodeLost, NodeLost>});
}

}  // namespace multiprocessing::detail
