"""Where a run stands, read from what both hosts' trainers have."""


def unwrap(model):
    """The model inside DistributedDataParallel, or the model itself."""
    return model.module if hasattr(model, "module") else model


def total_optimizer_steps(trainer) -> int:
    """Optimiser steps of the whole run: what the schedule was built for."""
    scheduler = trainer.cfg.get("scheduler") or {}
    if scheduler.get("total_steps"):
        return int(scheduler["total_steps"])
    accumulation = trainer.cfg.get("gradient_accumulation_steps") or 1
    return max(1, len(trainer.train_loader) * trainer.max_epoch // accumulation)


def run_progress(trainer) -> float:
    """Share of the run that is done, 0 to 1, by optimiser steps (the schedule's own count)."""
    return min(trainer.scheduler.last_epoch / total_optimizer_steps(trainer), 1.0)
