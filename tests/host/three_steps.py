"""Three steps of pre-training in whichever host is chosen, saved for comparison: three_steps.py FOLDER OUT.npz"""

import json
import sys
from pathlib import Path

import numpy as np

from tests.host.miniature import make_batches, make_config, make_trainer


def train_three_steps(folder) -> dict:
    """Batches, losses and final weights of the host's trainer, as arrays."""
    batches = make_batches(3)
    arrays = {f"batch{i}/{key}": np.asarray(value) for i, batch in enumerate(batches) for key, value in batch.items()}
    trainer = make_trainer(make_config(folder), batches)
    trainer.train()
    lines = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    for key in ("loss", "loss_level0", "loss_level1", "lr", "momentum", "masked_share"):
        arrays[f"metric/{key}"] = np.array([line[key] for line in lines])
    weights = {f"weight/{key}": value.detach().numpy() for key, value in trainer.model.state_dict().items()}
    return {**arrays, **weights}


if __name__ == "__main__":
    np.savez(sys.argv[2], **train_three_steps(sys.argv[1]))
