"""Compiler: from a quantised network to a program for one Squeezelerator.

The passes, each with a form that can be looked at: :mod:`compiler.lowering.lower` (layers to machine operations),
``channel_split`` and ``channel_tiling`` (maps too large for the buffer, or for whole passes, in channel parts),
``weight_streams`` (weight streams in either dataflow; ``weight_packing`` leaves zeros out of those for WS),
:mod:`compiler.search.partition` with :mod:`compiler.fusion.tiling` and
``line_schedule`` (groups, bands of lines, dataflow, what stays on chip), ``realise`` with ``local_search``,
``joint_allocate``, ``allocate`` and ``ring_rotation`` (rings and rows of the activation buffer),
``emit`` (instructions and transfers), ``transfers`` with ``prefetch`` (where in the program each transfer
stands), :mod:`compiler.codegen.synchronise` (tickets) and
``assemble`` and ``program`` (the file). ``configuration`` lists the views under which the search is made;
in :mod:`compiler.search.portfolio` they compete, judged by :mod:`compiler.cost.exact`;
:mod:`spec.verification.verify` proves afterwards that the tickets order everything that must be ordered.
"""

__all__ = ["from_torch"]


def from_torch(module, example_input, *, cfg=None, calibrate=None, preprocessing=None, **options):
    """Compile a ``torch.nn.Module`` through ``torch.export``.

    Parameters
    ----------
    module : torch.nn.Module
    example_input : torch.Tensor
        Of shape (1, C, H, W).
    cfg : spec.machine.MachineConfig
        The machine; by default 16 x 16.
    calibrate : path
        A folder of pictures that choose the number formats; by default noise does.
    preprocessing : str
        Of those pictures, see :mod:`models.pictures.images`.
    options
        Of :func:`compiler.api.compile_network`.

    Returns
    -------
    spec.program.Program

    Raises
    ------
    ValueError
        In one line: an operator that is not supported, with its node, or a network that the machine cannot run.
    """
    from squeezelerator.compiler.api import compile_network
    from squeezelerator.models.importers import from_torch as read
    from squeezelerator.models.sources import quantised_source
    from squeezelerator.spec.machine import MachineConfig

    source = quantised_source(read(module, example_input), calibrate=calibrate, preprocessing=preprocessing)
    return compile_network(source.quantised, cfg or MachineConfig(), **options)
