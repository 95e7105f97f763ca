"""Trainings and probes of a list of variants, each in processes of its own; what is finished is not run again.

A run lies in <out>/<variant>/seed<k>: the training's folder, with ablation.json (what it was asked to be), commands.log
(what its processes said) and probe/ (results.json). A run that was cut short goes on from its last checkpoint.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from pointcept_msm.ablations.comparison import METRICS
from pointcept_msm.files.atomic import replace_file
from pointcept_msm.runtime.environment import ROOT


class Variant(NamedTuple):
    """A line of the table: its name, a config (path or name in configs/msm) and `key=value` options on top of it."""

    name: str
    config: str
    options: tuple[str, ...] = ()


class Run(NamedTuple):
    """One training and its probe."""

    variant: Variant
    seed: int
    probe: str
    folder: Path

    @property
    def results(self) -> Path:
        """What the probe writes at its end."""
        return self.folder / "probe" / "results.json"

    @property
    def request(self) -> dict:
        """What decides the run's figures."""
        return dict(self.variant._asdict(), options=list(self.variant.options), seed=self.seed, probe=self.probe)


def plan_runs(variants: list[Variant], seeds: list[int], probe: str, out: Path) -> list[Run]:
    """Every variant with every seed, seed by seed, so that a list that is cut short compares all variants.

    ValueError: a name twice, or a folder that holds a run of another config, options or probe.
    """
    names = [variant.name for variant in variants]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ValueError(f"two variants are called {twice!r}; give one of them another name with --variant")
    runs = [Run(v, seed, probe, out / v.name / f"seed{seed}") for seed in seeds for v in variants]
    for run in runs:
        _check_request(run)
    return runs


def _check_request(run):
    path = run.folder / "ablation.json"
    if not path.is_file():
        return
    found = json.loads(path.read_text())
    changed = [key for key, value in run.request.items() if found.get(key) != value]
    if changed:
        raise ValueError(
            f"{run.folder} is a run with {changed[0]} {found.get(changed[0])!r}, not {run.request[changed[0]]!r}; give "
            "another --out, or the variant another name"
        )


def train_command(run: Run) -> list[str]:
    """Arguments of tools/train.py; goes on from the last checkpoint when there is one."""
    options = [*run.variant.options, f"seed={run.seed}", f"save_path={run.folder}"]
    if (run.folder / "model" / "model_last.pth").is_file():
        options.append("resume=true")
    return [str(ROOT / "tools/train.py"), "--config-file", run.variant.config, "--options", *options]


def probe_command(run: Run) -> list[str]:
    """Arguments of tools/test.py: the student alone, with the run's seed."""
    options = [f"weight={run.folder}", f"save_path={run.folder / 'probe'}", f"test.seeds=[{run.seed}]"]
    options += ["test.networks=[student]", "test.baselines=[]"]
    return [str(ROOT / "tools/test.py"), "--config-file", run.probe, "--options", *options]


def do_run(run: Run, threads: int | None = None) -> str | None:
    """Train and probe, or what of it is missing; the sentence that says why not, or None.

    threads: of each process, None = all cores.
    """
    if run.results.is_file():
        return None
    run.folder.mkdir(parents=True, exist_ok=True)
    with replace_file(run.folder / "ablation.json", "w") as file:
        json.dump(run.request, file, indent=2)
    trained = (run.folder / "student.safetensors").is_file()
    commands = [probe_command(run)] if trained else [train_command(run), probe_command(run)]
    environment = dict(os.environ) if threads is None else dict(os.environ, OMP_NUM_THREADS=str(threads))
    for command in commands:
        with open(run.folder / "commands.log", "a") as log:
            done = subprocess.run([sys.executable, *command], env=environment, stdout=log, stderr=subprocess.STDOUT)
        if done.returncode:
            return f"{run.variant.name}, seed {run.seed}: {_last_line(run.folder / 'commands.log')}"
    return None


def _last_line(log):
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else f"no word in {log}"


def do_runs(runs: list[Run], jobs: int = 1, report=print) -> list[str]:
    """All runs, `jobs` at a time with the cores shared out; the sentences of those that failed."""
    threads = None if jobs == 1 else max((os.cpu_count() or 1) // jobs, 1)
    failures = []
    with ThreadPoolExecutor(jobs) as pool:
        for run, failure in zip(runs, pool.map(lambda run: do_run(run, threads), runs), strict=True):
            report(failure or describe(run))
            failures += [failure] if failure else []
    return failures


def describe(run: Run) -> str:
    """A finished run's figures in one line."""
    shown = ", ".join(f"{metric} {_scores(run)[metric]:.1f}" for metric in METRICS)
    return f"{run.variant.name}, seed {run.seed}: {shown}"


def read_scores(runs: list[Run]) -> dict[str, dict[int, dict[str, float]]]:
    """{variant: {seed: {metric: percent}}} of the runs whose probe is finished, in the order of variants."""
    scores = {}
    for run in runs:
        by_seed = scores.setdefault(run.variant.name, {})
        if run.results.is_file():
            by_seed[run.seed] = _scores(run)
    return scores


def _scores(run):
    row = json.loads(run.results.read_text())["rows"][0]
    return {name: entry["mean"] for name, entry in row["metrics"].items()}
