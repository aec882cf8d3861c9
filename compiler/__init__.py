"""Compiler: from a quantised network to a program for one Squeezelerator.

The passes, each with a form that can be looked at: :mod:`compiler.lower` (layers to machine operations),
:mod:`compiler.split` and :mod:`compiler.cuts` (maps too large for the buffer, or for whole passes, in channel parts),
:mod:`compiler.plan` (weight streams in either dataflow; :mod:`compiler.packed` leaves zeros out of those for WS),
:mod:`compiler.schedule` with :mod:`compiler.choice` and
:mod:`compiler.walk` (groups, bands of lines, dataflow, what stays on chip), :mod:`compiler.settle` with :mod:`compiler.refine`,
:mod:`compiler.arrange`, :mod:`compiler.allocate` and :mod:`compiler.turn` (rings and rows of the activation buffer),
:mod:`compiler.emit` (instructions and transfers), :mod:`compiler.order` with :mod:`compiler.haste` (where in the program each transfer
stands), :mod:`compiler.sync` (tickets) and
:mod:`compiler.placed` and :mod:`compiler.program` (the file). :mod:`compiler.strategy` lists the views under which the search is made;
in :mod:`compiler.contest` they compete, judged by :mod:`compiler.judge`;
:mod:`compiler.verify` proves afterwards that the tickets order everything that must be ordered.
"""

import models  # noqa: F401 - before numpy: sets its threads

__all__ = ["from_torch"]


def from_torch(module, example_input, *, cfg=None, calibrate=None, preprocessing=None, **options):
    """Compile a ``torch.nn.Module`` through ``torch.export``.

    Parameters
    ----------
    module : torch.nn.Module
    example_input : torch.Tensor
        Of shape (1, C, H, W).
    cfg : rtl.config.MachineConfig
        The machine; by default 16 x 16.
    calibrate : path
        A folder of pictures that choose the number formats; by default noise does.
    preprocessing : str
        Of those pictures, see :mod:`models.images`.
    options
        Of :func:`compiler.api.compile_network`.

    Returns
    -------
    compiler.program.Program

    Raises
    ------
    ValueError
        In one line: an operator that is not supported, with its node, or a network that the machine cannot run.
    """
    from compiler.api import compile_network
    from models.importers import from_torch as read
    from models.sources import quantised_source
    from rtl.config import MachineConfig

    source = quantised_source(read(module, example_input), calibrate=calibrate, preprocessing=preprocessing)
    return compile_network(source.quantised, cfg or MachineConfig(), **options)
