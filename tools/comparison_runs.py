"""Trainings and probes that other tools compare: each in processes of its own; what is finished is not run again.

A run lies in a folder of its own, with request.json (what it was asked to be) and commands.log (what its processes
said). A training that was cut short goes on from its last checkpoint.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pointcept_msm.files.atomic import replace_file
from pointcept_msm.runtime.environment import ROOT
from pointcept_msm.runtime.errors import UserError


class Step(NamedTuple):
    """One command of a run: tools/<tool>.py with a config and options; `done` is a file that it leaves at its end."""

    tool: str
    config: str
    options: tuple[str, ...]
    folder: Path
    done: Path

    def command(self) -> list[str]:
        """What is run; a training goes on from the last checkpoint when there is one."""
        options = [*self.options, f"save_path={self.folder}"]
        if self.tool == "train" and (self.folder / "model" / "model_last.pth").is_file():
            options.append("resume=true")
        tool = str(ROOT / f"tools/{self.tool}.py")
        return [sys.executable, tool, "--config-file", self.config, "--options", *options]


class Run(NamedTuple):
    """Steps in a row, for one variant and seed."""

    variant: str
    seed: int
    folder: Path
    steps: tuple[Step, ...]

    @property
    def request(self) -> dict:
        """What decides the run's figures."""
        return {step.tool: [step.config, *step.options] for step in self.steps}


def train(config, options, folder: Path, network="student") -> Step:
    """A training whose last export is `network`."""
    return Step("train", str(config), tuple(options), folder, folder / f"{network}.safetensors")


def probe(config, weight, seed: int, folder: Path, options=()) -> Step:
    """A probe of the student at `weight`, without baselines."""
    fixed = (f"weight={weight}", f"test.seeds=[{seed}]", "test.networks=[student]", "test.baselines=[]")
    return Step("test", str(config), (*fixed, *options), folder, folder / "results.json")


def check_requests(runs: list[Run]) -> None:
    """UserError: a folder holds a run that was asked to be something else."""
    for run in runs:
        path = run.folder / "request.json"
        if path.is_file() and json.loads(path.read_text()) != run.request:
            raise UserError(
                f"{run.folder} holds a run with other options ({path}): give another --out, or the variant another name"
            )


def do_run(run: Run, threads: int | None = None) -> str | None:
    """What of a run is missing; the sentence that says why not, or None. threads: of each process, None = all cores."""
    run.folder.mkdir(parents=True, exist_ok=True)
    with replace_file(run.folder / "request.json", "w") as file:
        json.dump(run.request, file, indent=2)
    environment = dict(os.environ) if threads is None else dict(os.environ, OMP_NUM_THREADS=str(threads))
    for step in run.steps:
        if step.done.is_file():
            continue
        with open(run.folder / "commands.log", "a") as log:
            done = subprocess.run(step.command(), env=environment, stdout=log, stderr=subprocess.STDOUT)
        if done.returncode:
            lines = [line for line in (run.folder / "commands.log").read_text(errors="replace").splitlines() if line]
            return f"{run.variant}, seed {run.seed}: {lines[-1] if lines else 'no word in its commands.log'}"
    return None


def do_runs(runs: list[Run], jobs: int = 1, report=print) -> list[str]:
    """All runs, `jobs` at a time with the cores shared out; the sentences of those that failed."""
    if jobs < 1:
        raise UserError(f"--jobs is {jobs}; give 1 or more")
    threads = None if jobs == 1 else max((os.cpu_count() or 1) // jobs, 1)
    failures = []
    with ThreadPoolExecutor(jobs) as pool:
        for run, failure in zip(runs, pool.map(lambda run: do_run(run, threads), runs), strict=True):
            report(failure or f"{run.variant}, seed {run.seed}: done")
            failures += [failure] if failure else []
    return failures


def read_row(results: Path) -> dict | None:
    """The first row of a probe's results.json; None while there is none."""
    return json.loads(results.read_text())["rows"][0] if results.is_file() else None


def read_rooms(row: dict, name: str) -> dict[str, np.ndarray]:
    """{room: confusion matrix (K, K)} of a row's first seed and one probe; empty where the row has none."""
    size, rooms = len(row.get("class_iou", {}).get(name, [])), {}
    for room, triplets in row["rooms"][name][0].items() if size else ():
        rooms[room] = np.zeros((size, size), dtype=np.int64)
        for true, predicted, count in triplets:
            rooms[room][true, predicted] = count
    return rooms


def show(values: Mapping[int, float], signed: bool = False) -> str:
    """Mean and, of several, each value in the order of seeds: "38.8 (38.6, 38.0, 39.7)"; "-" for none."""
    form = "{:+.1f}" if signed else "{:.1f}"
    if not values:
        return "-"
    mean = form.format(sum(values.values()) / len(values))
    return f"{mean} ({', '.join(form.format(v) for v in values.values())})" if len(values) > 1 else mean


def save_text(path: Path, text: str, shown: bool = True) -> None:
    """Write a text file, whole or not at all, and show it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path, "w") as file:
        file.write(text)
    if shown:
        print(f"\n{text}\n{path}")
