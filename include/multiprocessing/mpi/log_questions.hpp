// multiprocessing/mpi/log_questions.hpp
//
// What rank 0 has asked the nodes of a pool about their workers, and the answers so far. A node
// that is lost does not answer, and nobody waits for it. All of this is for the holder of the
// desk's lock. Floor 9. Start at LogQuestions::ask. SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "multiprocessing/detail/spinning.hpp"
#include "multiprocessing/mpi/gathered_logs.hpp"

namespace multiprocessing::detail {

/// The questions of one pool.
class LogQuestions {
  public:
    /// Begins a question. @returns its number
    std::uint64_t ask(std::set<int> ranks) {
        questions_[++last_] = {monotonic_now(), std::move(ranks), {}, nullptr};
        return last_;
    }
    [[nodiscard]] bool is_answered(std::uint64_t number) const {
        return questions_.at(number).waiting.empty();
    }
    /// Ends a question. @returns what the nodes have told, by rank
    /// @throws std::bad_alloc when an answer found no memory here
    [[nodiscard]] std::vector<ToldLogs> take_answers(std::uint64_t number) {
        Question question = std::move(questions_.extract(number).mapped());
        if (question.error) std::rethrow_exception(question.error);
        std::ranges::sort(question.told, {}, &ToldLogs::rank);
        return std::move(question.told);
    }

    /// Notes a node's answer. @param content what write_logs has written; empty: the node had no
    /// memory for more
    void note_answer(std::uint64_t number, int rank, const std::string& host,
                     std::span<const std::byte> content) {
        const auto found = questions_.find(number);
        if (found == questions_.end()) return;
        Question& question = found->second;
        const std::uint64_t middle = question.asked + (monotonic_now() - question.asked) / 2;
        question.waiting.erase(rank);
        if (content.empty()) return;
        try {
            question.told.push_back({rank, host, middle, {content.begin(), content.end()}});
        } catch (...) {
            question.error = std::current_exception();  // for the one who asks
        }
    }
    /// Notes that a node answers nothing any more.
    void stop_waiting_for(int rank) {
        for (auto& [number, question] : questions_) question.waiting.erase(rank);
    }

  private:
    struct Question {
        std::uint64_t asked;    // nanoseconds on the monotonic clock
        std::set<int> waiting;  // ranks that have not answered
        std::vector<ToldLogs> told;
        std::exception_ptr error;  // instead
    };

    std::uint64_t last_ = 0;
    std::map<std::uint64_t, Question> questions_;
};

}  // namespace multiprocessing::detail
