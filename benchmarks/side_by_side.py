"""Runs the benchmarks beside their Python twins, and tells what came out.

In each pass every program runs once and its twin right after it; within a program the contenders
take turns. So what else the machine does hits all of them. Prints a table of medians, writes
results.json, and draws the plots. benchmarks/run calls it; see there for the arguments.
"""
import argparse
import collections
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

from rows import BASE_UNITS, COMPILERS, OURS, PLOTS, ROWS, SECTIONS, STANDARD, UNITS, WHY

HERE = pathlib.Path(__file__).parent
PROGRAMS = ["starts", "pool", "payloads", "peers", "queues", "pipes", "locks", "inside", "managers",
             "shared_objects", "heap", "remote", "python", "mpi", "nodes", "compile"]


class Samples:
    """All values by row and contender, and by place on the x-axis for the plots."""

    def __init__(self):
        self.rows = collections.defaultdict(lambda: collections.defaultdict(list))
        self.series = collections.defaultdict(
            lambda: collections.defaultdict(lambda: collections.defaultdict(list)))

    def add(self, row, contender, x, value):
        if x == "":
            self.rows[row][contender].append(value)
        else:
            self.series[row][contender][float(x)].append(value)

    def add_lines(self, text):
        for line in text.splitlines():
            row, contender, x, value = line.split("\t")
            self.add(row, contender, x, float(value))

    def medians(self, row):
        return {who: statistics.median(values) for who, values in self.rows[row].items()}


def output_of(command, environment=None):
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False,
                            env=os.environ | (environment or {}))
    if result.returncode != 0:
        sys.exit(f"{command[0]} ended with {result.returncode}")
    return result.stdout


def run_google_benchmark(program, is_quick, samples):
    output = output_of([program, "--benchmark_format=json",
                        "--benchmark_enable_random_interleaving=true",
                        f"--benchmark_repetitions={3 if is_quick else 9}",
                        "--benchmark_min_time=0.05"])
    for result in json.loads(output)["benchmarks"]:
        if result["run_type"] == "iteration":
            row, contender = result["run_name"].split("/repeats:")[0].rsplit("|", 1)
            samples.add(row, contender.split("/min_time")[0], "", result["real_time"])


def compile_seconds(compiler, name, *options):
    """The processor's time: that of the clock shows who else compiles."""
    before = os.times()
    subprocess.run([compiler, "-std=c++20", "-O2", "-DFMT_HEADER_ONLY",
                    f"-I{HERE.parent}/include", *options,
                    "-c", "-o", os.devnull, HERE / "compile" / f"{name}.cpp"], check=True)
    after = os.times()
    return (after.children_user - before.children_user
            + after.children_system - before.children_system)


def run_compilers(samples):
    for compiler in filter(shutil.which, COMPILERS):
        standard = compile_seconds(compiler, "standard") * 1e9
        for name, way in [("pool_map", ""), ("pool_map", " compiled"),
                          ("process", " compiled"), ("queue", " compiled")]:
            options = ["-DMULTIPROCESSING_SEPARATE_COMPILATION"] if way else []
            row = f"compile/{compiler}/{name}{way}"
            samples.add(row, OURS, "", compile_seconds(compiler, name, *options) * 1e9)
            samples.add(row, STANDARD, "", standard)


def launcher(name):
    return [HERE.parent / "examples/with_mpirun"] if name == "mpi" else []


def run_program(name, programs, is_quick, samples):
    mode = "quick" if is_quick else "full"
    # The functions of the tasks, and the module multiprocessing_cpp.
    environment = ({"PYTHONPATH": f"{HERE}/python:{programs.parent}/python"}
                   if name == "python" else {})
    if name == "compile":
        run_compilers(samples)
    elif name == "inside":
        run_google_benchmark(programs / name, is_quick, samples)
    else:
        samples.add_lines(output_of([*launcher(name), programs / name, mode], environment))
    twin = HERE / "python" / f"{name}.py"
    if twin.exists():
        module = ["-m", "mpi4py.futures"] if name == "mpi" else []
        samples.add_lines(output_of([*launcher(name), "python3", *module, twin, mode], environment))


def with_unit(value, unit):
    scaled = value / UNITS[unit]
    digits = 0 if scaled >= 1_000 else 1 if scaled >= 100 else 2
    return f"{scaled:,.{digits}f} {unit}"


def spread(values):
    """Half of the values lie within this share of the median."""
    if len(values) < 4:
        return ""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"±{50 * (high - low) / middle:.0f} %" if middle else ""


def summary(values):
    quartiles = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return {"median": statistics.median(values), "quartiles": [quartiles[0], quartiles[2]],
            "samples": len(values)}


def goal_text(row):
    goal = row.goal
    if goal is None:
        return ""
    texts = []
    if goal.times is not None:
        texts.append(f"≤ {goal.times:.3g} × {goal.of}")
    if goal.at_most is not None:
        texts.append(f"≤ {goal.at_most / UNITS[row.unit]:g} {row.unit}")
    return ", ".join(texts)


def table_lines(samples):
    """The table as rows of Markdown."""
    yield ["work", "here", "spread", "others, and how many times that we take", "goal", "reached"]
    for section, rows in SECTIONS.items():
        present = [row for row in rows if samples.rows[row.key].get(OURS)]
        if present:
            yield [f"**{section}**", "", "", "", "", ""]
        for row in present:
            medians = samples.medians(row.key)
            ours = medians[OURS]
            others = [f"{who} {with_unit(value, row.unit)}: {ours / value:.2g} ×"
                      for who, value in medians.items() if who != OURS and value]
            verdict = row.goal.is_reached(medians) if row.goal else None
            yield [row.title, with_unit(ours, row.unit), spread(samples.rows[row.key][OURS]),
                   "; ".join(others), goal_text(row),
                   {True: "yes", False: "NO", None: ""}[verdict]]


def missed_lines(samples):
    """A list of the goals that are missed, and why, as Markdown."""
    missed = [(section, row) for section, rows in SECTIONS.items() for row in rows
              if row.goal and row.goal.is_reached(samples.medians(row.key)) is False]
    if missed:
        yield "\n## Goals that are missed\n\n"
    for section, row in missed:
        yield f"- {section}, {row.title}: {WHY.get(row.key, 'it is not known why.')}\n"


def print_table(lines, file=sys.stdout):
    lines = list(lines)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for number, line in enumerate(lines):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |",
              file=file)
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|", file=file)


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    return {"processor": models[0] if models else platform.machine(),
            "cores": len(os.sched_getaffinity(0)), "kernel": platform.release(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")}


def first_line_of(*command):
    return output_of(command).splitlines()[0]


def results(samples, arguments, seconds):
    """Everything, as results.json has it."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": first_line_of("git", "-C", HERE, "describe", "--always", "--dirty"),
        "mode": arguments.mode, "seconds": round(seconds), "machine": machine(),
        "compiler": first_line_of("c++", "--version"), "python": platform.python_version(),
        "rows": {key: {"title": row.title, "unit": BASE_UNITS.get(row.unit, "ns"),
                       "goal": goal_text(row),
                       "reached": row.goal.is_reached(samples.medians(key)) if row.goal else None,
                       "contenders": {who: summary(values)
                                      for who, values in samples.rows[key].items()}}
                 for key, row in ROWS.items() if samples.rows[key]},
        "series": {key: {who: {f"{x:g}": statistics.median(values) for x, values in points.items()}
                         for who, points in contenders.items()}
                   for key, contenders in samples.series.items()},
    }


def write_pages(folder, outcome, samples):
    """The table as a page to read, and all plots as one to look at."""
    place = outcome["machine"]
    with open(folder / "README.md", "w", encoding="utf-8") as file:
        print(f"# Results\n\nA {outcome['mode']} run of `benchmarks/run` that took "
              f"{outcome['seconds']} s, at commit {outcome['commit']} on {outcome['date'][:10]}: "
              f"{place['processor']}, {place['cores']} cores, Linux {place['kernel']}, "
              f"{outcome['compiler']}, Python {outcome['python']}. [All plots](plots.md).\n",
              file=file)
        print_table(table_lines(samples), file)
        print("".join(missed_lines(samples)), end="", file=file)
        others = sorted(set(folder.glob("*.md")) - {folder / "README.md", folder / "plots.md"})
        for other in others:  # of other machines, put there by hand
            print(f"\nThe same on another machine: [{other.stem}]({other.name}).", file=file)
    with open(folder / "plots.md", "w", encoding="utf-8") as file:
        print("# Plots\n\nOf the figures in [the table](README.md): medians, on logarithmic axes.",
              file=file)
        for plot in PLOTS:
            if plot.key in samples.series:
                print(f"\n![{plot.title}]({plot.file_name()})", file=file)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("programs", type=pathlib.Path, help="where the built programs are")
    parser.add_argument("mode", choices=["quick", "full"])
    parser.add_argument("only", nargs="*", help=f"of {', '.join(PROGRAMS)}")
    parser.add_argument("--output", type=pathlib.Path, default=HERE.parent / ".build/results",
                        help="a folder for README.md, plots.md, results.json and the plots")
    arguments = parser.parse_args()
    unknown = set(arguments.only) - set(PROGRAMS)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(PROGRAMS)}")
    return arguments


def main():
    arguments = parse_arguments()
    is_quick = arguments.mode == "quick"
    samples = Samples()
    start = time.monotonic()
    passes = 1 if is_quick else 3
    for number in range(passes):
        for name in arguments.only or PROGRAMS:
            print(f"pass {number + 1} of {passes}: {name}", file=sys.stderr, flush=True)
            run_program(name, arguments.programs, is_quick, samples)
    arguments.output.mkdir(exist_ok=True, parents=True)
    outcome = results(samples, arguments, time.monotonic() - start)
    (arguments.output / "results.json").write_text(json.dumps(outcome, indent=1) + "\n")
    write_pages(arguments.output, outcome, samples)
    print_table(table_lines(samples))
    try:
        import plots  # needs Matplotlib
    except ImportError:
        print("No plots: python3-matplotlib is not there", file=sys.stderr)
    else:
        plots.draw_all(PLOTS, samples.series, arguments.output)


if __name__ == "__main__":
    main()
