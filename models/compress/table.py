"""A network at every step of Deep Compression: size, accuracy and, on the machine, cycles and energy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from squeezelerator.models.arithmetic.float_network import FloatNetwork
from squeezelerator.models.compress import codec
from squeezelerator.models.compress.prune import nonzero, prune
from squeezelerator.models.compress.share import SharedNetwork, share

_FLOAT_BYTES = 4
PAPER_STEP_BITS = 4


@dataclass(frozen=True, kw_only=True)
class Step:
    """One row: the network after a step.

    ``size`` is in bytes, ``zeros`` the share of zero weights, ``accuracy`` whatever was measured (``None`` without pictures),
    ``cycles`` and ``energy`` (in MACs) of one inference (``None`` where not measured).
    """

    name: str
    net: FloatNetwork
    size: int
    zeros: float
    accuracy: object = None
    cycles: int | None = None
    energy: float | None = None


def _stored(net: FloatNetwork) -> int:
    """Stored entries of all layers with the paper's 4-bit relative positions, fillers included."""
    count = 0
    for layer in net.table.layers:
        if layer.has_weights:
            count += len(codec.sparse_entries(net.params[layer.name].arrays()[0].reshape(-1) != 0, PAPER_STEP_BITS)[0])
    return count


def _biases(net: FloatNetwork) -> int:
    return _FLOAT_BYTES * sum(layer.c_o for layer in net.table.layers if layer.has_weights)


def dense_size(net: FloatNetwork) -> int:
    """Bytes of all weights and biases as float32."""
    return _FLOAT_BYTES * net.table.params + _biases(net)


def sparse_size(net: FloatNetwork) -> int:
    """Bytes with only the stored entries: each a float32 and a 4-bit relative position; biases as float32."""
    return _FLOAT_BYTES * _stored(net) + -(-PAPER_STEP_BITS * _stored(net) // 8) + _biases(net)


def shared_size(shared: SharedNetwork) -> int:
    """Bytes with a code and a 4-bit relative position a stored entry, or with a code a weight where that is smaller; with codebooks."""
    bits, total = 0, _biases(shared.net)
    for layer in shared.net.table.layers:
        if layer.has_weights:
            item, width = shared.shared[layer.name], shared.bits[layer.name]
            stored = len(codec.sparse_entries(item.codes.reshape(-1), PAPER_STEP_BITS)[0])
            bits += min(stored * (width + PAPER_STEP_BITS), layer.params * width)
            total += _FLOAT_BYTES * (len(item.codebook) - 1)
    return total + -(-bits // 8)


def compress(
    net: FloatNetwork, *, sparsity: float | Mapping[str, float] | None = None, scope: str = "layer", bits: int | Mapping[str, int] = 6
) -> tuple[FloatNetwork, SharedNetwork, bytes]:
    """``(pruned, shared, data)``: the network after pruning (as it was, for no ``sparsity``), after sharing, and its file's bytes."""
    pruned = net if sparsity is None else prune(net, sparsity, scope=scope)
    shared = share(pruned, bits)
    return pruned, shared, codec.encode(shared)


def steps(
    net: FloatNetwork,
    compressed: tuple[FloatNetwork, SharedNetwork, bytes],
    *,
    measure_accuracy: Callable[[FloatNetwork], object] | None = None,
    measure_machine: Callable[[FloatNetwork, bool], tuple[int | None, float | None]] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Step]:
    """The four :class:`Step` rows: dense, pruned, shared, Huffman-coded.

    Parameters
    ----------
    compressed : tuple
        As :func:`compress` returns it.
    measure_accuracy : callable, optional
        From a float network to what the table shows as its accuracy.
    measure_machine : callable, optional
        From a float network, and whether its zeros count as weights, to ``(cycles, energy)`` of one inference. They do in the dense
        step, which stores and multiplies every weight, zero or not.
    say : callable, optional
        Is told in a line what is measured next.
    """
    pruned, shared, data = compressed
    decoded = codec.decode(data, net.table)
    rows, accuracies, machines = [], {}, {}
    for name, item, size in (
        ("dense", net, dense_size(net)),
        ("pruned", pruned, sparse_size(pruned)),
        ("shared", shared.net, shared_size(shared)),
        ("Huffman", shared.net, len(data)),
    ):
        # Huffman coding changes no weight, which the decoded file proves; nothing is measured twice.
        if name == "Huffman" and any((decoded.params[key].weight != shared.net.params[key].weight).any() for key in decoded.params):
            raise AssertionError("the compressed file does not decode to the shared weights")
        if measure_accuracy and id(item) not in accuracies:
            say(f"{name}: accuracy ...")
            accuracies[id(item)] = measure_accuracy(item)
        run = id(item), name == "dense"
        if measure_machine and run not in machines:
            say(f"{name}: cycles and energy ...")
            machines[run] = measure_machine(item, name == "dense")
        cycles, energy = machines.get(run, (None, None))
        rows.append(Step(name=name, net=item, size=size, zeros=1 - nonzero(item) / item.table.params,
                         accuracy=accuracies.get(id(item)), cycles=cycles, energy=energy))  # fmt: skip
    return rows


def lines(rows: Sequence[Step]) -> list[str]:
    """The rows as the lines of a table."""
    text = [f"{'step':<10} {'bytes':>12} {'smaller':>8} {'zeros':>7} {'cycles':>12} {'energy':>14}  accuracy in 16 bits"]
    for row in rows:
        cycles = "" if row.cycles is None else f"{row.cycles:,}"
        energy = "" if row.energy is None else f"{row.energy:,.0f}"
        accuracy = "" if row.accuracy is None else str(row.accuracy)
        sizes = f"{row.name:<10} {row.size:>12,} {rows[0].size / row.size:>7.1f}x {100 * row.zeros:>6.1f}%"
        text.append(f"{sizes} {cycles:>12} {energy:>14}  {accuracy}".rstrip())
    return text
