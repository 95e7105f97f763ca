"""MSMTrainer in the Pointcept host: its DefaultTrainer, for configs that also run in the embedded host."""

from pointcept.engines.train import Trainer

from pointcept_msm.embedded.config import fill_defaults
from pointcept_msm.embedded.scheduler import settle_warmup
from pointcept_msm.host import TRAINERS, register
from pointcept_msm.runtime.environment import describe_environment

NO_MAX_STEPS = "max_steps is read in the embedded host only: set epoch, or MSM_HOST=embedded."


@register(TRAINERS, "MSMTrainer")
class MSMTrainer(Trainer):
    """Fills in keys that a short config lacks, refuses what Pointcept would silently ignore (`max_steps`), gives a
    process the loader worker that `persistent_workers` needs, and lets go of each step's graph once it is taken."""

    def __init__(self, cfg):
        if cfg.get("max_steps") is not None:
            raise ValueError(NO_MAX_STEPS)
        fill_defaults(cfg)
        super().__init__(cfg)

    def build_model(self):
        """The first step of the constructor that has a log to write to."""
        self.logger.info(f"=> Host: pointcept; {describe_environment()}")
        return super().build_model()

    def build_train_loader(self):
        """Pointcept's loader, with at least one worker."""
        if self.cfg.num_worker_per_gpu < 1:
            self.logger.info("=> num_worker gives this process no loader worker, Pointcept needs one: using 1")
            self.cfg.num_worker_per_gpu = 1
        return super().build_train_loader()

    def build_scheduler(self):
        """Pointcept's, whose OneCycleLR fails when the warm-up is one step long, and starts late when it is less."""
        scheduler = self.cfg.scheduler
        if scheduler.type == "OneCycleLR":
            steps = len(self.train_loader) * self.cfg.eval_epoch // self.cfg.gradient_accumulation_steps
            given = {key: scheduler[key] for key in ("pct_start", "three_phase") if key in scheduler}
            scheduler.update(settle_warmup(max(steps, 1), **given))
        return super().build_scheduler()

    def run_step(self):
        """Pointcept's step. Its output is kept until the next one: without the graph, which holds all index tables."""
        super().run_step()
        output = self.comm_info["model_output_dict"]
        self.comm_info["model_output_dict"] = {key: value.detach() for key, value in output.items()}
