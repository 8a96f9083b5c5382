"""The optimizer Muon for weight matrices, with AdamW for all else."""

import torch
from torch import nn


class Muon(torch.optim.Optimizer):
    """Momentum whose matrix is orthogonalized before each step; convolutions count as (out, in * height * width).

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/.
    """

    def __init__(self, parameters: list[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(parameter)
                average, gradient = state["momentum"], parameter.grad
                average.lerp_(gradient, 1 - group["momentum"])
                direction = orthogonalize(gradient.lerp(average, group["momentum"]).flatten(1))
                rows, columns = direction.shape
                scale = max(1.0, rows / columns) ** 0.5
                parameter.add_(direction.view_as(parameter), alpha=-group["lr"] * scale)


def orthogonalize(matrix: torch.Tensor) -> torch.Tensor:
    """About the nearest matrix with singular values near one (0.7 to 1.2), by five Newton-Schulz steps."""
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Weight matrices of hidden layers, and the rest: embeddings, first and last layers, norms and biases."""
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        outer = any(part in name for part in ("embedding", "conv_in", "conv_out"))
        (rest if outer or parameter.ndim < 2 else matrices).append(parameter)
    return matrices, rest
