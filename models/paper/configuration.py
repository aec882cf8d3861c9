"""The two configurations of the paper's machine."""

from dataclasses import dataclass, field

from squeezelerator.models.paper.assumptions import Assumptions
from squeezelerator.models.paper.published import LARGE, SMALL


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A configuration of the paper's machine: ``n`` PEs a side and ``buffer_words`` 16-bit words of global buffer."""

    n: int
    buffer_words: int
    assumptions: Assumptions = field(default_factory=Assumptions)


def machine(configuration: str, assumptions: Assumptions | None = None) -> Machine:
    """The :class:`Machine` of ``8x8`` (32 KB) or ``16x16`` (128 KB)."""
    n, kib = {SMALL: (8, 32), LARGE: (16, 128)}[configuration]
    return Machine(n=n, buffer_words=kib * 1024 // 2, assumptions=assumptions or Assumptions())
