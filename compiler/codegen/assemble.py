"""A schedule with everything in its place in memory: the compiler's last form before the program."""

from squeezelerator.compiler.codegen.synchronise import synchronise
from squeezelerator.compiler.search.trial import emit_in_order

#: Everything in DRAM begins at a multiple of this many bytes: whole bursts.
_ALIGN = 256


def _homes(graph, sched, cfg):
    """{name: byte offset} of every map that lies in DRAM, their number of bytes, and their shapes {name: (c, h, w, pieces)}."""
    used = {graph.input.home}
    for group in sched.groups:
        used |= {step.what.home for step in group.steps if step.kind != "step"}
    shapes, offsets, at = {}, {}, 0
    for tensor in sorted((graph.input, *(op.out for op in graph.ops)), key=lambda t: t.home_block):
        if tensor.home in used:
            c, h, w, pieces = shapes.get(tensor.home, (0, tensor.h, tensor.w, ()))
            shapes[tensor.home] = (c + tensor.c, h, w, (*pieces, tensor.c))
    for name, (_, h, w, pieces) in shapes.items():
        offsets[name] = at
        size = sum(-(-piece // cfg.n) for piece in pieces) * h * w * cfg.row_bytes
        at += -(-size // _ALIGN) * _ALIGN
    return offsets, at, shapes


class Placed:
    """A schedule's instructions (``code``, from ``steps``) and where everything lies in memory; without ``contents`` the constants are
    only room for them."""

    def __init__(self, cfg, graph, sched, contents=True):
        self.offsets, self.constants, self.shapes = _homes(graph, sched, cfg)
        emitter, self.steps = emit_in_order(sched, cfg, _ALIGN, self.constants, self.offsets, contents)
        self.image = emitter.image
        self.prog_offset = self.constants + self.image.size
        self.code = synchronise(self.steps, cfg)
