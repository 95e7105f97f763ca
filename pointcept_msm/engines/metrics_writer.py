"""MSMMetricsWriter: metrics.jsonl, one JSON object an optimizer step, in both hosts.

Evaluators add to evaluations.jsonl beside it, an object each time.
"""

import json
import logging
import math
import time
from pathlib import Path

import torch

from pointcept_msm.engines.export import count_steps
from pointcept_msm.engines.method_hooks import unwrap
from pointcept_msm.files.atomic import replace_file
from pointcept_msm.host import HOOKS, HookBase, register
from pointcept_msm.runtime import comm
from pointcept_msm.runtime.environment import peak_memory

LOGGER = logging.getLogger("msm")
METRICS, EVALUATIONS = "metrics.jsonl", "evaluations.jsonl"
FROM_MODEL = ("momentum", "mask_ratio")  # attributes of the model that are written when it has them


def keep_until(path, step):
    """Drop the lines of a metrics file that lie beyond `step`, and torn ones."""
    kept = []
    for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):  # a machine that lost power may have torn more than the last one
            continue
    with replace_file(path, "w") as file:
        file.writelines(kept)


def append_line(path, record):
    """Add a JSON object to a file of lines; a full disk costs lines, not the run."""
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
    except OSError as error:
        LOGGER.warning(f"{path}: the line of step {record['step']} is lost ({error.strerror})")


def to_json_number(value):
    """A float or int as JSON can hold it; None for NaN and infinity."""
    number = value.item() if hasattr(value, "item") else value
    return number if isinstance(number, int) or math.isfinite(number) else None


def count_scenes(batch):
    """Scenes in a batch of this process: its names, or the ends in its shortest offset."""
    if isinstance(batch.get("name"), (list, tuple)):
        return len(batch["name"])
    return min((len(value) for key, value in batch.items() if "offset" in key), default=0)


@register(HOOKS, "MSMMetricsWriter")
class MSMMetricsWriter(HookBase):
    """Writes a line an optimizer step; the model's outputs are rank 0's means over the step's accumulated parts.

    A resumed run goes on after the step it resumes from. Skipped steps write no line; `skipped` counts them.
    """

    def __init__(self):
        self.path = None
        self.start_line()

    def start_line(self):
        self.sums, self.iterations, self.scenes, self.start = {}, 0, 0, time.perf_counter()

    def before_epoch(self):
        if not self.iterations:
            self.start = time.perf_counter()  # leave the evaluation between epochs out of the speed
        if self.path is not None or not comm.is_main_process():
            return
        self.path = Path(self.trainer.cfg.save_path) / METRICS
        self.step = count_steps(self.trainer)  # by now the whole run is restored
        for path in (self.path, self.path.with_name(EVALUATIONS)):
            if path.exists():
                keep_until(path, self.step if self.trainer.cfg.resume else -1)

    def before_step(self):
        self.lr = self.trainer.optimizer.param_groups[0]["lr"]  # the schedule moves inside the step

    def after_step(self):
        if self.path is None:
            return
        info, step = self.trainer.comm_info, count_steps(self.trainer)
        for key, value in info["model_output_dict"].items():
            self.sums[key] = self.sums.get(key, 0) + value.detach().double()
        self.iterations += 1
        self.scenes += count_scenes(info["input_dict"])
        if step != self.step:
            self.write_line(step)
        elif self.trainer._gradient_accumulation_counter == 0:
            self.start_line()  # the step was skipped: its values are not finite

    def write_line(self, step):
        model, seconds = unwrap(self.trainer.model), time.perf_counter() - self.start
        on_gpu = torch.cuda.is_available()
        record = {
            "step": step,
            "epoch": self.trainer.epoch + 1,
            **{key: to_json_number(total / self.iterations) for key, total in self.sums.items()},
            "lr": self.lr,
            **{name: to_json_number(getattr(model, name)) for name in FROM_MODEL if hasattr(model, name)},
            "scenes_per_second": round(self.scenes * comm.get_world_size() / seconds, 3),
            "seconds_per_step": round(seconds, 4),
            "peak_memory_mib": round(torch.cuda.max_memory_allocated() / 2**20 if on_gpu else peak_memory() * 2**10, 1),
            "skipped": getattr(self.trainer, "skipped_steps", 0),
        }
        append_line(self.path, record)
        self.step = step
        self.start_line()
