"""SemSegEvaluator: mIoU, mAcc and allAcc over the whole validation set (Pointcept's name, tags and definitions)."""

import torch

from pointcept_msm.embedded.batches import check_batch
from pointcept_msm.embedded.hooks.base import HookBase
from pointcept_msm.embedded.registry import HOOKS
from pointcept_msm.runtime import comm


def build_confusion(predicted, segment, num_classes, ignore_index=-1):
    """Counts (num_classes, num_classes), row = true class, column = predicted, without the ignored points."""
    known = segment != ignore_index
    labels = segment[known]
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f"labels run from {int(labels.min())} to {int(labels.max())}, data.num_classes is {num_classes} and "
            f"data.ignore_index {ignore_index}: correct these two, or the labels."
        )
    pairs = segment[known].long() * num_classes + predicted[known].long()
    return torch.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def score_confusion(confusion):
    """(IoU a class, accuracy a class, accuracy of all points); a class that never occurs scores 0, as in Pointcept."""
    confusion = confusion.double()
    hits, true, predicted = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    union = true + predicted - hits
    return hits / union.clamp(min=1), hits / true.clamp(min=1), (hits.sum() / true.sum().clamp(min=1)).item()


@HOOKS.register_module()
class SemSegEvaluator(HookBase):
    """After epochs, if `cfg.evaluate`; needs the model's `seg_logits`, `segment` of the batch, `data.num_classes`."""

    def __init__(self, write_cls_iou=False):
        self.write_cls_iou = write_cls_iou

    def before_train(self):
        if self.trainer.cfg.evaluate and not self.trainer.cfg.data.get("num_classes"):
            raise ValueError("SemSegEvaluator does not know the number of classes: set data.num_classes.")

    def after_epoch(self):
        if self.trainer.cfg.evaluate and self.trainer.val_loader is not None:
            self.eval()

    def eval(self):
        data = self.trainer.cfg.data
        confusion = torch.zeros(data.num_classes, data.num_classes, dtype=torch.long, device=self.trainer.device)
        loss_sum = torch.zeros(2, device=self.trainer.device)  # sum, count
        model = getattr(self.trainer.model, "module", self.trainer.model)
        model.eval()
        for batch in map(check_batch, self.trainer.val_loader):
            loss, counts = self.eval_batch(model, batch)
            confusion += counts
            if loss is not None:
                loss_sum += torch.stack([loss.float().reshape(()), torch.ones_like(loss_sum[0])])
        model.train()
        self.report(comm.reduce_sum_(confusion).cpu(), comm.reduce_sum_(loss_sum).tolist())

    @torch.no_grad()
    def eval_batch(self, model, batch):
        data, device = self.trainer.cfg.data, self.trainer.device
        batch = {k: v.to(device, non_blocking=True) if isinstance(v, torch.Tensor) else v for k, v in batch.items()}
        with self.trainer.autocast():
            output = model(batch)
        predicted, segment = output["seg_logits"].argmax(1), batch["segment"]
        if "inverse" in batch:
            if len(batch["offset"]) > 1:
                raise ValueError(
                    "'inverse' in a validation batch of several scenes mixes them up: leave batch_size_val None."
                )
            predicted, segment = predicted[batch["inverse"]], batch["origin_segment"]
        return output.get("loss"), build_confusion(predicted, segment, data.num_classes, data.get("ignore_index", -1))

    def report(self, confusion, loss_sum):
        iou, accuracy, all_acc = score_confusion(confusion)
        scores = {"mIoU": iou.mean().item(), "mAcc": accuracy.mean().item(), "allAcc": all_acc}
        if loss_sum[1]:
            scores["loss"] = loss_sum[0] / loss_sum[1]
        self.trainer.logger.info(
            f"Val result: mIoU/mAcc/allAcc {scores['mIoU']:.4f}/{scores['mAcc']:.4f}/{scores['allAcc']:.4f}."
        )
        names = self.trainer.cfg.data.get("names") or [str(i) for i in range(len(iou))]
        for index, name in enumerate(names):
            line = f"Class_{index}-{name} Result: iou/accuracy {iou[index]:.4f}/{accuracy[index]:.4f}"
            self.trainer.logger.info(line, extra={"file_only": True})
        if self.write_cls_iou:
            scores |= {f"cls_{index}-{name} IoU": iou[index].item() for index, name in enumerate(names)}
        self.write(scores)
        self.trainer.comm_info["current_metric_value"] = scores["mIoU"]
        self.trainer.comm_info["current_metric_name"] = "mIoU"

    def write(self, scores):
        if self.trainer.writer is not None:
            for name, value in scores.items():
                self.trainer.writer.add_scalar(f"val/{name}", value, self.trainer.epoch + 1)
