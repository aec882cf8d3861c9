"""Trains a network on a folder of pictures: SGD with momentum and a learning rate that falls by a polynomial.

``python -m models.train NETWORK --data DIR -o DIR`` writes ``checkpoint.pt`` after every epoch, from which ``--resume`` goes on, and
``weights.npz`` (batch norm folded) at the end. ``--prune 0.6`` prunes while training; at the end the accuracy in 16 bits is measured
with the golden model. A GPU is used where there is one.
"""

import math
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.common.files import check_folder
from squeezelerator.common.progress import print_line, progress
from squeezelerator.models import digits, evaluate, importers
from squeezelerator.models.arithmetic.float_network import FloatNetwork
from squeezelerator.models.arithmetic.torch_network import TorchNetwork, torch_network
from squeezelerator.models.networks import zoo
from squeezelerator.models.networks.network import Network
from squeezelerator.models.pictures import images
from squeezelerator.models.pictures.folders import Pictures, default_shift, find_pictures
from squeezelerator.models.quantisation.formats import quantise
from squeezelerator.models.training.state import (
    Masks,
    TrainError,
    fit_batch_norms,
    float_network,
    load_checkpoint,
    load_into,
    polynomial_rate,
    ramped_sparsity,
    save_checkpoint,
    save_weights,
)

_CALIBRATION = 100
_STATISTICS = 256
"""Pictures from which batch norms of given weights take their statistics."""


def find_network(name: str) -> Network:
    """The :class:`~models.networks.network.Network` of the zoo, or the digits' network."""
    return digits.NETWORK if name == digits.NAME else zoo.network(name)


def parser() -> ArgumentParser:
    """The command line's arguments."""
    parse = OneLineParser(prog=program_name("models.train"), description=(__doc__ or "").splitlines()[0])
    parse.add_argument("network", help="name of a network (python -m models lists them)")
    parse.add_argument("--data", required=True, help="folder with train/CLASS/* and val/CLASS/*, or CLASS/*")
    parse.add_argument("-o", "--output", default="build/train", help="folder for checkpoint.pt and weights.npz (default %(default)s)")
    parse.add_argument("--epochs", type=int, default=120, help="default %(default)s")
    parse.add_argument("--batch", type=int, default=64, help="pictures a step (default %(default)s)")
    parse.add_argument("--rate", type=float, default=0.04, help="learning rate at the start (default %(default)s)")
    parse.add_argument("--power", type=float, default=1.0, help="power of the learning rate's fall (default %(default)s: linear)")
    parse.add_argument("--momentum", type=float, default=0.9, help="default %(default)s")
    parse.add_argument("--decay", type=float, default=2e-4, help="weight decay (default %(default)s)")
    parse.add_argument("--warmup", type=int, default=0, help="steps over which the learning rate rises (default %(default)s)")
    parse.add_argument("--shift", type=int, help="largest random displacement in pixels (default: by the input's size)")
    parse.add_argument("--flip", action="store_true", help="mirror half of the pictures")
    parse.add_argument("--preprocessing", choices=tuple(images.PREPROCESSINGS), help="default: imagenet; unit for digits")
    parse.add_argument("--weights", help="weight file to begin with")
    parse.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    parse.add_argument("--prune", type=float, default=0.0, metavar="SHARE", help="share of weights to prune while training")
    parse.add_argument("--seed", type=int, default=0, help="default %(default)s")
    parse.add_argument("--workers", type=int, default=0, help="processes that read pictures (default %(default)s)")
    parse.add_argument("--threads", type=int, default=1, help="threads of PyTorch on the CPU (default %(default)s)")
    parse.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default %(default)s")
    parse.add_argument("--limit-16-bit", type=int, default=1000, help="most pictures for the 16-bit accuracy (default %(default)s)")
    return parse


def _check(options: Namespace) -> None:
    for name, least in (("epochs", 1), ("batch", 1), ("threads", 1), ("workers", 0), ("warmup", 0), ("seed", 0),
                        ("limit_16_bit", 1)):
        if getattr(options, name) < least:
            raise TrainError(f"--{name.replace('_', '-')} must be at least {least}, not {getattr(options, name)}")
    if not 0 <= options.prune < 1:
        raise TrainError(f"--prune must be 0 or more and below 1, not {options.prune}")
    try:
        torch.zeros(1, device=options.device)
    except (RuntimeError, AssertionError) as error:
        raise TrainError(f"--device {options.device}: {str(error).strip().splitlines()[0]}") from None
    if not 0 < options.rate < math.inf:
        raise TrainError(f"--rate must be above 0, not {options.rate}")
    for name in ("power", "momentum", "decay"):
        if not 0 <= getattr(options, name) < math.inf:
            raise TrainError(f"--{name} must be 0 or more, not {getattr(options, name)}")
    if options.shift is not None and options.shift < 0:
        raise TrainError(f"--shift must be 0 or more, not {options.shift}")
    try:
        check_folder(options.output)
    except OSError as error:
        raise TrainError(f"{options.output}: cannot be written: {error.strerror}") from None


def train(options: Namespace, say: Callable[[str], None] = print) -> tuple[FloatNetwork, evaluate.Accuracy, evaluate.Accuracy]:
    """Train as ``options`` (of :func:`parser`) say; returns ``(float network, float accuracy, 16-bit accuracy)``.

    Raises
    ------
    ValueError
        With one line, if the data, the weights or an option is unusable.
    """
    _check(options)
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    network = find_network(options.network)
    table = network.table
    preprocessing = options.preprocessing or (digits.PREPROCESSING if network.name == digits.NAME else "imagenet")
    train_items, validation_items, names = find_pictures(options.data)
    outputs = table.layers[-1].out_size
    if len(names) > outputs:
        raise TrainError(f"{options.data}: has {len(names)} classes, but {table.name} has {outputs} outputs")
    shift = default_shift(table.input_shape) if options.shift is None else options.shift
    training = Pictures(train_items, table.input_shape, preprocessing, shift=shift, flip=options.flip, seed=options.seed)
    validation = Pictures(validation_items, table.input_shape, preprocessing)
    model = torch_network(network).to(options.device)
    if options.weights:
        load_into(model, importers.load_weights(options.weights, table))
        step = -(-len(training) // _STATISTICS)
        fit_batch_norms(model, torch.stack([training[index][0] for index in range(0, len(training), step)]).to(options.device))
    optimiser = torch.optim.SGD(model.parameters(), options.rate, momentum=options.momentum, weight_decay=options.decay)
    first = load_checkpoint(_checkpoint(options), model, optimiser, options.device)["epoch"] if options.resume else 0
    say(f"{table.name}: {len(training)} pictures to train, {len(validation)} to validate, on {options.device}")
    _epochs(options, model, optimiser, _Data(training=training, validation=validation), first, say)
    net = float_network(model.cpu(), preprocessing)
    save_weights(net, Path(options.output) / "weights.npz")
    return (net, *_final(options, net, training, validation, say))


@dataclass(frozen=True, kw_only=True)
class _Data:
    training: Pictures
    validation: Pictures


def _epochs(options: Namespace, model: TorchNetwork, optimiser: torch.optim.Optimizer, data: _Data, first: int,
            say: Callable[[str], None]) -> None:  # fmt: skip
    """Train from epoch ``first`` (from 0) on; a checkpoint after each."""
    loader = DataLoader(data.training, options.batch, shuffle=True, drop_last=len(data.training) > options.batch,
                        num_workers=options.workers)  # fmt: skip
    masks = Masks(model) if options.prune else None
    for epoch in range(first, options.epochs):
        start = time.perf_counter()
        data.training.set_epoch(epoch)
        # The order of the pictures depends on seed and epoch alone, so that a resumed training equals an uninterrupted one.
        torch.manual_seed(options.seed * 1_000_003 + epoch)
        if masks:
            masks.update(ramped_sparsity(options.prune, epoch + 1, options.epochs))
        rate, loss, right = _epoch(options, model, optimiser, loader, masks, epoch)
        accuracy = _validate(model, data.validation, options)
        save_checkpoint(_checkpoint(options), model, optimiser, epoch + 1, {})
        say(
            f"epoch {epoch + 1:>4} of {options.epochs}  rate {rate:.5f}  loss {loss:.4f}  train {100 * right:.2f}%  "
            f"validation {100 * accuracy:.2f}%  {time.perf_counter() - start:.1f} s"
        )


def _epoch(options: Namespace, model: TorchNetwork, optimiser: torch.optim.Optimizer, loader: DataLoader[Any], masks: Masks | None,
           epoch: int) -> tuple[float, float, float]:  # fmt: skip
    """Train one epoch; returns the last learning rate, the mean loss and the share of pictures that were classified rightly."""
    rate, total, right, seen = 0.0, 0.0, 0, 0
    model.train()
    for index, (x, labels) in enumerate(progress(loader, f"epoch {epoch + 1} of {options.epochs}", unit="batch")):
        step, steps = epoch * len(loader) + index, options.epochs * len(loader)
        rate = polynomial_rate(options.rate, options.power, step, steps, options.warmup)
        for group in optimiser.param_groups:
            group["lr"] = rate
        x, labels = x.to(options.device), labels.to(options.device)
        scores = model(x).flatten(1)
        loss = nn.functional.cross_entropy(scores, labels)
        if not torch.isfinite(loss):
            raise TrainError(f"epoch {epoch + 1}: the loss is {loss.item()}; a smaller --rate may help")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if masks:
            masks.apply()
        total, right, seen = total + loss.item() * len(x), right + int((scores.argmax(1) == labels).sum()), seen + len(x)
    return rate, total / seen, right / seen


def _checkpoint(options: Namespace) -> Path:
    return Path(options.output) / "checkpoint.pt"


@torch.no_grad()
def _validate(model: TorchNetwork, validation: Pictures, options: Namespace) -> float:
    """Share of validation pictures that the model classifies rightly."""
    model.eval()
    right = 0
    for x, labels in progress(DataLoader(validation, options.batch, num_workers=options.workers), "validation", unit="batch"):
        right += int((model(x.to(options.device)).flatten(1).argmax(1).cpu() == labels).sum())
    return right / len(validation)


def _final(options: Namespace, net: FloatNetwork, training: Pictures, validation: Pictures,
           say: Callable[[str], None]) -> tuple[evaluate.Accuracy, evaluate.Accuracy]:
    """Accuracies in float and in 16 bits on (at most ``--limit-16-bit``) validation pictures."""
    training = Pictures(training._items, net.table.input_shape, net.preprocessing)
    step = -(-len(training) // _CALIBRATION)
    quantised = quantise(net, [training[index][0].numpy() for index in range(0, len(training), step)])
    step = -(-len(validation) // options.limit_16_bit)
    chosen = [validation[index] for index in range(0, len(validation), step)]
    inputs, labels = [x.numpy() for x, _ in chosen], [label for _, label in chosen]
    ranked = {
        "float": evaluate.rank_all(evaluate.rank_float, net, inputs, options.threads, "float"),
        "16-bit": evaluate.rank_all(evaluate.rank_quantised, quantised, inputs, options.threads, "16-bit"),
    }
    in_float, in_16_bit = (evaluate.accuracy(found, labels) for found in ranked.values())
    for title, found in zip(ranked, (in_float, in_16_bit), strict=True):
        say(f"{title:<7} {found} ({100 * found.top1 / found.count:.2f}%)")
    zeros = sum(np.count_nonzero(numbers.weight == 0) for numbers in net.params.values())
    say(f"zero weights: {zeros} of {net.table.params} ({100 * zeros / net.table.params:.1f}%)")
    return in_float, in_16_bit


@command("models.train")
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = parser().parse_args(arguments)
    try:
        train(options, say=print_line)
    except KeyboardInterrupt:
        print("--resume goes on from the last epoch", file=sys.stderr)
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
