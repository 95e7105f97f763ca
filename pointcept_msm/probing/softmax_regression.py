"""Multinomial logistic regression by L-BFGS, in coordinates where the problem is round.

Features of a network have channels that nearly repeat each other, and classes from half of all points down to a few:
plain L-BFGS then needs hundreds of steps. Rotating the rows onto their principal axes keeps the penalty |weight|^2 what
it is, and dividing every entry by the root of its curvature makes steps of any direction alike: the same minimum in a
third of the time. Legend: N rows, C channels, K classes.
"""

import torch

ROWS_A_BLOCK = 1 << 16
TYPICAL_CURVATURE = 0.05  # of a softmax output, p (1 - p), between a sure class (0) and an even bet (0.25)


class SoftmaxRegression:
    """min over weight (C, K) and bias (K,) of mean cross-entropy + l2 / 2 |weight|^2, on x (N, C) float32, which is
    rotated in place, and classes y (N,) int64."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, num_classes: int):
        self.x, self.y, self.num_classes = x, y, num_classes
        gram = sum(block.T @ block for block in x.split(ROWS_A_BLOCK)).double() / len(x)
        variance, axes = torch.linalg.eigh(gram)
        self.variance, self.axes = variance.clamp_min(0).float(), axes.float()
        for block in x.split(ROWS_A_BLOCK):
            block.copy_(block @ self.axes)

    def minimise(self, weight: torch.Tensor, bias: torch.Tensor, l2: float, max_iter: int):
        """Weight (C, K) and bias (K,) at the minimum, from the ones given, in the coordinates of the x given."""
        weight = (self.axes.T @ weight).T.contiguous()  # (K, C)
        scale, bias_scale = self.scales(weight, bias, l2)
        step, bias_step = (weight / scale).requires_grad_(), (bias / bias_scale).requires_grad_()
        solver = torch.optim.LBFGS(
            [step, bias_step],
            max_iter=max_iter,
            history_size=20,
            tolerance_grad=1e-6,
            tolerance_change=1e-7,
            line_search_fn="strong_wolfe",
        )

        def closure():
            with torch.no_grad():
                loss, grad, bias_grad = self.objective(step * scale, bias_step * bias_scale, l2)
                step.grad, bias_step.grad = grad * scale, bias_grad * bias_scale
            return loss

        solver.step(closure)
        return self.axes @ (step * scale).detach().T, (bias_step * bias_scale).detach()

    def scales(self, weight, bias, l2):
        """1 / root of the curvature along each weight (K, C) and bias (K,), at the weights given.

        The curvature is the geometric mean of what it is here and of what it typically is, as it changes on the way.
        """
        curvature, bias_curvature = torch.zeros_like(weight), torch.zeros_like(bias)
        for x in self.x.split(ROWS_A_BLOCK):
            p = torch.softmax(torch.addmm(bias[:, None], weight, x.T), 0)  # (K, n)
            p = p.mul_(1 - p).div_(len(self.x))
            curvature.addmm_(p, x.square())
            bias_curvature += p.sum(1)
        curvature = (curvature * TYPICAL_CURVATURE * self.variance).sqrt() + l2
        return curvature.clamp_min(1e-12).rsqrt(), bias_curvature.clamp_min(1e-5).rsqrt()

    def objective(self, weight, bias, l2):
        """Value, gradient by weight (K, C) and by bias (K,); classes first, which is the faster layout."""
        loss, grad, bias_grad = 0.5 * l2 * weight.square().sum(), l2 * weight, torch.zeros_like(bias)
        share = 1 / len(self.x)
        for x, y in zip(self.x.split(ROWS_A_BLOCK), self.y.split(ROWS_A_BLOCK), strict=True):
            score = torch.log_softmax(torch.addmm(bias[:, None], weight, x.T), 0)  # (K, n)
            loss = loss - share * score.gather(0, y[None]).sum()
            score = score.exp_().mul_(share)
            score.scatter_add_(0, y[None], torch.full_like(score[:1], -share))
            grad.addmm_(score, x)
            bias_grad += score.sum(1)
        return loss, grad, bias_grad
