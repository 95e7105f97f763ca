"""The progress bar of a run: rank 0, on a terminal only."""

from tqdm import tqdm

from pointcept_msm.runtime import comm


class ProgressBar:
    """Counts training iterations; `every` says how often the loss is read from the device and shown."""

    def __init__(self, total, initial, every):
        quiet = None if comm.is_main_process() else True  # None: tqdm shows it on a terminal and nowhere else
        self.bar = tqdm(total=total, initial=initial, disable=quiet, dynamic_ncols=True, desc="train", unit="it")
        self.every = max(every, 1)

    def update(self, loss):
        self.bar.update()
        if not self.bar.disable and self.bar.n % self.every == 0:
            self.bar.set_postfix(loss=f"{float(loss):.4f}", refresh=False)

    def close(self):
        self.bar.close()
