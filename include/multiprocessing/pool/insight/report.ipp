// multiprocessing/pool/insight/report.ipp
//
// How a pool's report is written: see report.hpp. The tables are made here and need no script; the
// script (report_script.hpp) draws the charts. SPDX-License-Identifier: MIT
#pragma once

#include "multiprocessing/pool/insight/report.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <utility>

#include "multiprocessing/detail/descriptor.hpp"
#include "multiprocessing/detail/linkage.hpp"
#include "multiprocessing/detail/repr.hpp"
#include "multiprocessing/detail/system.hpp"
#include "multiprocessing/pool/insight/report_records.hpp"
#include "multiprocessing/pool/insight/report_script.hpp"
#include "multiprocessing/pool/insight/report_style.hpp"
#include "multiprocessing/pool/insight/report_text.hpp"
#include "multiprocessing/pool/insight/statistics.hpp"

namespace multiprocessing::detail {

/// A report that is being made.
class ReportPage {
  public:
    ReportPage(const WorkerLogs& logs, const History& history)
        : stats_(read_stats(logs, history)),
          records_(logs, history),
          remembered_(logs.capacity()) {}

    [[nodiscard]] std::string make() {
        add_head();
        add_tiles();
        add_charts();
        add_workers();
        add_slowest();
        add_losses();
        add_script();
        return std::move(page_);
    }

  private:
    // --- numbers ---

    /// Adds a number, as text for the reader and in full for programs.
    void add_data(const char* name, const std::string& value, const std::string& text) {
        page_ += "<data class=\"";
        page_ += name;
        page_ += "\" value=\"" + value + "\">" + text + "</data>";
    }
    void add_count(const char* name, std::uint64_t number) {
        add_data(name, std::to_string(number), count_text(number));
    }
    void add_seconds(const char* name, double seconds) {
        add_data(name, float_repr(seconds), seconds_text(seconds));
    }
    void add_memory(const char* name, std::uint64_t bytes) {
        add_data(name, std::to_string(bytes), memory_text(bytes));
    }
    /// Adds a cell of a table. @param add what it is to hold
    template <class Add>
    void add_cell(Add add, const char* of_class = "") {
        page_ += *of_class == '\0' ? std::string("<td>")
                                   : "<td class=\"" + std::string(of_class) + "\">";
        add();
        page_ += "</td>";
    }
    void add_count_cell(const char* name, std::uint64_t number) {
        add_cell([&] { add_count(name, number); });
    }
    void add_seconds_cell(const char* name, double seconds) {
        add_cell([&] { add_seconds(name, seconds); });
    }
    void begin_table(const char* id, std::initializer_list<const char*> heads) {
        page_ += "<div class=\"wide\"><table id=\"" + std::string(id) + "\"><thead><tr>";
        for (const char* const head : heads) {
            if (head == nullptr) continue;      // not for this pool
            const bool is_text = *head == '<';  // what stands behind it is left-aligned
            page_ += is_text ? "<th class=\"text\">" : "<th>";
            page_ += head + (is_text ? 1 : 0);
            page_ += "</th>";
        }
        page_ += "</tr></thead><tbody>\n";
    }
    void end_table() { page_ += "</tbody></table></div>\n"; }

    /// Returns the sum of a figure over the workers.
    template <class T>
    [[nodiscard]] T sum(T WorkerStats::*figure) const {
        T total{};
        for (const WorkerStats& worker : stats_.workers) total += worker.*figure;
        return total;
    }

    // --- parts ---

    void add_head() {
        page_ += "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                 // Nothing is loaded, whatever the page says.
                 "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                 "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                 "<title>Pool report</title><style>";
        page_ += report_style;
        page_ += "</style></head><body>\n<header id=\"top\"><h1>A pool of " +
                 count_text(stats_.workers.size()) +
                 (stats_.workers.size() == 1 ? " worker" : " workers") +
                 "</h1><p class=\"note\">As it was ";
        add_seconds("seconds", stats_.seconds);
        page_ += " after it was made.</p></header>\n";
    }

    template <class Add>
    void add_tile(const char* title, Add add) {
        page_ += "<div><dt>" + std::string(title) + "</dt><dd>";
        add();
        page_ += "</dd></div>\n";
    }
    void add_tiles() {
        page_ += "<dl class=\"tiles\" id=\"totals\">\n";
        add_tile("Tasks done", [&] { add_count("tasks", sum(&WorkerStats::tasks)); });
        add_tile("Failed", [&] { add_count("failed", sum(&WorkerStats::failed)); });
        add_tile("Working", [&] { add_seconds("busy", sum(&WorkerStats::busy)); });
        add_tile("Waiting", [&] { add_seconds("idle", sum(&WorkerStats::idle)); });
        add_tile("Lost workers", [&] { add_count("lost", stats_.lost); });
        add_tile("Retries", [&] { add_count("retries", stats_.retries); });
        add_tile("Memory", [&] { add_memory("memory", sum(&WorkerStats::memory)); });
        page_ += "</dl>\n";
    }

    void add_charts() {
        page_ += "<h2>Timeline</h2>\n";
        if (remembered_ == 0) {
            page_ += "<p class=\"note\" id=\"untraced\">This pool records nothing for a timeline: "
                     "it was made with <code>traced = 0</code>. All figures are complete."
                     "</p>\n";
            return;
        }
        if (records_.empty()) {
            page_ += "<p class=\"note\" id=\"untraced\">No task is done yet.</p>\n";
            return;
        }
        page_ += "<noscript><p>The charts need JavaScript; the tables do not.</p></noscript>\n"
                 "<p><button id=\"nearer\" title=\"nearer\">+</button> "
                 "<button id=\"farther\" title=\"farther\">−</button> "
                 "<button id=\"earlier\" title=\"earlier\">←</button> "
                 "<button id=\"later\" title=\"later\">→</button></p>\n"
                 "<figure><canvas id=\"timeline\" role=\"img\"></canvas>"
                 "<div id=\"hint\"></div></figure>\n"
                 "<p class=\"note\">A line for each worker, a bar for each chunk of items in the "
                 "colour of its call, a cross where a worker was lost. <span id=\"caption\"></span>"
                 "</p>\n";
        add_note_of_gap();
        page_ += "<h2>Use over time</h2>\n"
                 "<canvas id=\"use\" role=\"img\" aria-label=\"share of the workers at work\">"
                 "</canvas>\n";
    }
    void add_note_of_gap() {
        if (records_.complete_since() == 0) return;
        page_ += "<p class=\"note\" id=\"gap\">Each worker remembers its latest " +
                 count_text(remembered_) + " chunks (<code>traced</code>): before " +
                 seconds_text(records_.complete_since() * 1e-9) +
                 " the charts have gaps. The figures are complete.</p>\n";
    }

    void add_workers() {
        page_ += "<h2>Workers</h2>\n";
        const bool has_nodes = !stats_.workers.empty() && !stats_.workers.front().host.empty();
        begin_table("workers", {"worker", "pid", "starts", "tasks", "failed", "working", "waiting",
                                "<", "start-up", "memory", has_nodes ? "<node" : nullptr});
        for (std::size_t i = 0; i < stats_.workers.size(); ++i) {
            const WorkerStats& worker = stats_.workers[i];
            page_ += "<tr id=\"worker-" + std::to_string(i + 1) + "\"><td>" +
                     std::to_string(i + 1) + "</td>";
            add_cell(
                [&] { add_data("pid", std::to_string(worker.pid), std::to_string(worker.pid)); });
            add_count_cell("starts", static_cast<std::uint64_t>(worker.starts));
            add_count_cell("tasks", worker.tasks);
            add_count_cell("failed", worker.failed);
            add_seconds_cell("busy", worker.busy);
            add_seconds_cell("idle", worker.idle);
            add_bar(worker);
            add_seconds_cell("startup", worker.startup);
            add_cell([&] { add_memory("memory", worker.memory); });
            if (has_nodes) add_cell([&] { add_node(worker); }, "text");
            page_ += "</tr>\n";
        }
        end_table();
    }
    void add_node(const WorkerStats& worker) {
        const WorkerPlace place{worker.rank, worker.host};
        add_data("rank", std::to_string(worker.rank), html_text(place.text()));
    }
    /// Adds how a worker's time was divided between working and waiting, as a picture.
    void add_bar(const WorkerStats& worker) {
        const double all = (std::max)(worker.busy + worker.idle, 1e-9);
        const auto percent = [all](double part) {
            return std::to_string(static_cast<int>(part / all * 100 + 0.5));
        };
        page_ += "<td><div class=\"bar\"><i style=\"width:" + percent(worker.busy) +
                 "%\"></i><b style=\"width:" + percent(worker.idle) + "%\"></b></div></td>";
    }

    void add_slowest() {
        page_ += "<h2>Slowest tasks</h2>\n";
        if (stats_.slowest.empty()) {
            page_ += "<p class=\"note\">No task is done yet.</p>\n";
            return;
        }
        begin_table("slowest", {"time", "<items", "call", "<function", "pid"});
        for (std::size_t i = 0; i < stats_.slowest.size(); ++i) {
            const TaskTime& task = stats_.slowest[i];
            page_ += "<tr id=\"slowest-" + std::to_string(i + 1) + "\">";
            add_seconds_cell("time", task.seconds);
            add_cell([&] { add_items(task); }, "text");
            add_cell([&] {
                add_data("call", std::to_string(task.call),
                         task.is_stream ? "imap" : std::to_string(task.call));
            });
            add_cell([&] { page_ += html_text(task.function); }, "what");
            page_ += "<td>" + std::to_string(task.pid) + "</td></tr>\n";
        }
        end_table();
    }
    void add_items(const TaskTime& task) {
        add_data("first", std::to_string(task.first), std::to_string(task.first));
        if (task.items != 1) page_ += " to " + std::to_string(task.first + task.items - 1);
    }

    void add_losses() {
        page_ += "<h2>Lost workers</h2>\n";
        if (stats_.losses.empty()) {
            page_ += "<p class=\"note\">None died in a task.</p>\n";
            return;
        }
        if (stats_.lost > stats_.losses.size()) {
            page_ += "<p class=\"note\">The latest " + count_text(stats_.losses.size()) + " of " +
                     count_text(stats_.lost) + ".</p>\n";
        }
        begin_table("losses", {"at", "worker", "pid", "<its task", "<what happened"});
        for (const WorkerLoss& loss : stats_.losses) {
            page_ += "<tr>";
            add_seconds_cell("when", loss.when);
            page_ += "<td>" + std::to_string(loss.worker + 1) + "</td>";
            add_cell([&] { add_data("pid", std::to_string(loss.pid), std::to_string(loss.pid)); });
            page_ += loss.is_tried_again ? "<td class=\"text\">is tried again</td>"
                                         : "<td class=\"text\">has failed</td>";
            add_cell([&] { page_ += html_text(loss.what); }, "what");
            page_ += "</tr>\n";
        }
        end_table();
    }

    void add_script() {
        page_ += "<script type=\"application/json\" id=\"data\">" + records_.json(stats_.losses) +
                 "</script>\n<script>";
        page_ += report_script;
        page_ += "</script></body></html>\n";
    }

    const PoolStats stats_;
    const ReportRecords records_;
    const std::uint32_t remembered_;  // chunks, by each worker
    std::string page_;
};

MULTIPROCESSING_INLINE void write_report(const WorkerLogs& logs, const History& history,
                                         const std::string& path) {
    const std::string page = ReportPage(logs, history).make();
    const StandardStreamsTaken taken;
    std::FILE* const file = std::fopen(path.c_str(), "we");
    if (file == nullptr) throw_system_error("fopen");
    const bool is_written = std::fwrite(page.data(), 1, page.size(), file) == page.size();
    if (std::fclose(file) != 0 || !is_written) throw_system_error("fclose");
}

}  // namespace multiprocessing::detail
