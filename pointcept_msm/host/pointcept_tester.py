"""MSMSemSegTester: Pointcept's precise evaluation, which never counts another network's predictions as this one's."""

from pathlib import Path

import pointcept.utils.comm as comm
from pointcept.engines.test import SemSegTester

from pointcept_msm.files.weights import digest_tensors
from pointcept_msm.host import TESTERS, register
from pointcept_msm.host.run_files import restore_train_config, set_aside_results


@register(TESTERS, "MSMSemSegTester")
class MSMSemSegTester(SemSegTester):
    """SemSegTester loads <save_path>/result/<scene>_pred.npy instead of running the network, whoever wrote it. Here
    they count only if the same weights and the same test data made them; others are moved to result-<n>."""

    def test(self):
        """Evaluate as SemSegTester does."""
        if comm.is_main_process():
            folder = Path(self.cfg.save_path)
            made_by = digest_tensors(self.model.state_dict(), [str(self.cfg.data.test), str(self.cfg.model)])
            moved = set_aside_results(folder, made_by)
            if moved:
                self.logger.info(f"Predictions of another network or another test were in result/; now in {moved}")
            restore_train_config(folder)
        comm.synchronize()
        return super().test()
