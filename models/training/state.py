"""What training is made of: the learning rate's schedule, masks of pruned weights, checkpoints, weights in and out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from squeezelerator.common.errors import UserError
from squeezelerator.common.files import write_whole
from squeezelerator.models import importers
from squeezelerator.models.arithmetic.float_network import FloatNetwork
from squeezelerator.models.arithmetic.torch_network import TorchNetwork
from squeezelerator.models.importers.errors import WeightError


class TrainError(UserError, ValueError):
    """Training cannot start or go on; the message is one line."""


def polynomial_rate(base: float, power: float, step: int, steps: int, warmup: int = 0) -> float:
    """Learning rate at ``step`` (from 0) of ``steps``: ``base * (1 - step / steps) ** power``, after a linear rise over ``warmup``."""
    rate = base * max(0.0, 1 - step / steps) ** power
    return rate * min(1.0, (step + 1) / warmup) if warmup else rate


def ramped_sparsity(target: float, step: int, steps: int) -> float:
    """Share of pruned weights at ``step``: rises fast at first and slowly at the end, to ``target`` after two thirds of ``steps``."""
    progress = min(1.0, 1.5 * step / max(1, steps))
    return target * (1 - (1 - progress) ** 3)


class Masks:
    """Keeps the smallest weights of every convolution at zero while the others are trained.

    The first layer with weights is spared: it has few weights and every pixel passes through it.
    """

    def __init__(self, model: TorchNetwork) -> None:
        layers = [layer for layer in model.table.layers if layer.has_weights][1:]
        self._weights = [model.get_parameter(f"layers.{layer.name}.conv.weight") for layer in layers]
        self._masks = None

    def update(self, sparsity: float) -> None:
        """Prune the share ``sparsity`` of every layer's weights by magnitude."""
        self._masks = []
        for weight in self._weights:
            count = round(sparsity * weight.numel())
            magnitude = weight.detach().abs().flatten()
            mask = torch.ones_like(magnitude)
            mask[torch.argsort(magnitude, stable=True)[:count]] = 0
            self._masks.append(mask.view_as(weight))
        self.apply()

    @torch.no_grad()
    def apply(self) -> None:
        """Set the pruned weights to zero again, as after every step."""
        if self._masks:
            for weight, mask in zip(self._weights, self._masks, strict=True):
                weight.mul_(mask)


def float_network(model: TorchNetwork, preprocessing: str = "") -> FloatNetwork:
    """The model's :class:`~models.arithmetic.float_network.FloatNetwork`, batch norm folded."""
    state = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
    return replace(importers.from_tensors(model.table.name, state, model.table), preprocessing=preprocessing)


@torch.no_grad()
def load_into(model: TorchNetwork, net: FloatNetwork) -> None:
    """Copy a float network's weights into a model; a batch norm becomes one that only adds the bias.

    Before such a model is trained, :func:`fit_batch_norms` has to give its batch norms the statistics of real inputs.
    """
    for layer in model.table.layers:
        if not layer.has_weights:
            continue
        weight, bias = map(torch.from_numpy, net.params[layer.name].arrays())
        part = model.get_submodule(f"layers.{layer.name}")
        conv, norm = part.get_submodule("conv"), part.get_submodule("norm")
        if not isinstance(conv, torch.nn.Conv2d):
            raise TypeError(f"layer {layer.name} is no convolution")
        conv.weight.copy_(weight)
        if conv.bias is not None:
            conv.bias.copy_(bias)
        elif isinstance(norm, torch.nn.BatchNorm2d):
            mean, variance = _statistics(norm)
            mean.zero_()
            variance.fill_(1 - norm.eps)
            norm.weight.fill_(1)
            norm.bias.copy_(bias)
        elif bias.any():
            raise WeightError(f"layer {layer.name}: the file has a bias, but the network's layer has none")


def _statistics(norm: torch.nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """(running mean, running variance)."""
    if norm.running_mean is None or norm.running_var is None:
        raise TypeError("a batch norm that keeps no statistics")
    return norm.running_mean, norm.running_var


@torch.no_grad()
def fit_batch_norms(model: TorchNetwork, x: torch.Tensor) -> None:
    """Give every batch norm the mean and variance that the inputs ``x`` (batch, C, H, W) cause, without changing what the model computes.

    In training a batch norm uses the statistics of the batch; one that had been folded away would otherwise change all outputs.
    """

    def fit(norm: torch.nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        if not isinstance(norm, torch.nn.BatchNorm2d):
            raise TypeError("no batch norm")
        values, (old_mean, old_variance) = arguments[0], _statistics(norm)
        mean, variance = values.mean((0, 2, 3)), values.var((0, 2, 3), correction=0)
        factor = norm.weight / torch.sqrt(old_variance + norm.eps)
        norm.bias.add_((mean - old_mean) * factor)
        norm.weight.copy_(factor * torch.sqrt(variance + norm.eps))
        old_mean.copy_(mean)
        old_variance.copy_(variance)

    norms = [part for part in model.modules() if isinstance(part, torch.nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(fit) for norm in norms]
    try:
        model.eval()(x)
    finally:
        for hook in hooks:
            hook.remove()


def save_weights(net: FloatNetwork, path: str | Path) -> None:
    """Write a float network as ``.npz`` with keys ``NAME.weight`` and ``NAME.bias``; a file that exists is replaced at once."""
    arrays = {}
    for layer in net.table.layers:
        if layer.has_weights:
            arrays[f"{layer.name}.weight"] = net.params[layer.name].weight
            arrays[f"{layer.name}.bias"] = net.params[layer.name].bias
    _replace(path, lambda file: np.savez_compressed(file, **arrays))


def save_checkpoint(path: str | Path, model: TorchNetwork, optimiser: torch.optim.Optimizer, epoch: int, extra: dict[str, object]) -> None:
    """Write everything that :func:`load_checkpoint` needs to go on after ``epoch`` finished epochs."""
    content = {"state_dict": model.state_dict(), "optimiser": optimiser.state_dict(), "epoch": epoch, "network": model.table.name}
    _replace(path, lambda file: torch.save(content | extra, file))


def _replace(path: str | Path, write: Callable[[IO[bytes]], object]) -> None:
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, write)
    except OSError as error:
        raise TrainError(f"{path}: cannot be written: {error.strerror or error}") from None


def load_checkpoint(path: str | Path, model: TorchNetwork, optimiser: torch.optim.Optimizer, device: str) -> dict[str, Any]:
    """Restore a model and its optimiser; returns the checkpoint's content.

    Raises
    ------
    TrainError
        If the file cannot be read, is no checkpoint, or is one of another network.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        name = content["network"]
    except OSError as error:
        raise TrainError(f"{path}: cannot be read: {error.strerror or error}") from None
    except Exception:  # torch.load raises errors of many kinds
        raise TrainError(f"{path}: is no checkpoint of this program") from None
    if name != model.table.name:
        raise TrainError(f"{path}: is a checkpoint of {name}, not of {model.table.name}")
    try:
        model.load_state_dict(content["state_dict"])
        optimiser.load_state_dict(content["optimiser"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise TrainError(f"{path}: does not fit {name}: {str(error).strip().splitlines()[-1].strip()}") from None
    return content
