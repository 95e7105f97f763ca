"""Reading batches for the trainer: a worker that dies is replaced, a scene that fails is named.

As a batch is a function of (seed, epoch, position) alone, new workers go on exactly where the lost ones were.
"""

import signal
import threading
import time

from pointcept_msm.embedded.loader import SceneError, stop_workers

ATTEMPTS = 3  # times that a batch may cost its workers before the run gives up


def check_batch(batch):
    """The batch, unless a scene of it failed, which raises its SceneError."""
    if isinstance(batch, SceneError):
        raise batch
    return batch


class WorkerDied(SceneError):
    """Data loader workers ended again and again while the same batch was made."""


def read_batches(trainer):
    """Yield (iteration, batch) from `trainer.next_iter` on. Raises SceneError: a scene fails, or its worker does."""
    failed_at, attempts = None, 0
    while True:
        start = trainer.next_iter
        try:
            yield from enumerate(map(check_batch, iterate(trainer.train_loader)), start=start)
            return
        except WorkerLost as lost:
            attempts = attempts + 1 if failed_at == trainer.next_iter else 1
            failed_at = trainer.next_iter
            if attempts >= ATTEMPTS:
                raise WorkerDied(
                    f"a data worker ended ({lost}) {attempts} times while the batch of epoch {trainer.epoch + 1}, "
                    f"iteration {failed_at + 1} was made: if memory ran out, lower num_worker or the scenes' size; "
                    "num_worker=0 shows the error itself."
                ) from lost
            trainer.logger.warning(f"A data worker ended ({lost}); new ones go on at iteration {failed_at + 1}")
            restart_workers(trainer)


class WorkerLost(Exception):
    """At least one worker of a loader is dead; the text says how it ended."""


def iterate(loader):
    """The loader's batches; WorkerLost when an error comes from the death of a worker."""
    try:
        iterator = iter(loader)
        ignore_dead_children()
        yield from iterator
    except SceneError:
        raise
    except Exception as error:
        ends = wait_for_ends(getattr(loader, "_iterator", None))
        if not ends:
            raise
        raise WorkerLost(ends) from error


def ignore_dead_children():
    """Undo torch's SIGCHLD handler, which would raise anywhere in the main process, in the middle of a step too.

    Without it a death is still noticed, a few seconds later, where a batch is waited for.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def wait_for_ends(iterator, seconds=2.0):
    """How the dead workers of an iterator ended, as text; empty when all live (a death may take a moment to show)."""
    workers, deadline = getattr(iterator, "_workers", []), time.monotonic() + seconds
    while workers and time.monotonic() < deadline:
        dead = [worker for worker in workers if not worker.is_alive()]
        if dead:
            return ", ".join(sorted({_describe_end(worker.exitcode) for worker in dead}))
        time.sleep(0.05)
    return ""


def _describe_end(code):
    if code is None or code >= 0:
        return f"exit code {code}"
    hint = ", as when memory runs out" if code == -signal.SIGKILL else ""
    return f"signal {-code}{hint}"


def restart_workers(trainer):
    """Drop what is left of the workers and stand the sampler on the iteration that comes next."""
    loader = trainer.train_loader
    stop_workers(loader)
    loader.sampler.set_epoch(trainer.epoch, skip=trainer.next_iter * loader.batch_size)
