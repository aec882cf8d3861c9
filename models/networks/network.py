"""A named network: its table and what a table leaves out (normalisation, dropout, names, what was published)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from squeezelerator.spec.network.layer import Layer
from squeezelerator.spec.network.layer_table import LayerTable

BATCHNORM, BIAS, PLAIN = "batchnorm", "bias", "plain"


@dataclass(frozen=True, kw_only=True)
class Network:
    """One entry of the zoo.

    Parameters
    ----------
    name : str
        The project's name.
    title : str
        The name that the papers use; accepted as an alias.
    build : callable
        Returns the :class:`~spec.network.layer_table.LayerTable`.
    aliases : tuple of str
        Further names.
    conv_norm : str
        What follows the sums of a convolution: ``batchnorm`` (per-channel scale and bias), ``bias`` or ``plain``
        (nothing).
    norms : dict of str to str
        Exceptions by layer name; FC layers have a ``bias`` unless they stand here.
    dropout : dict of str to float
        Dropout probability at the output of a layer, for training.
    params_published, macs_published : float or None
        As the SqueezeNext paper prints them.
    inferred : str
        What no source states and was chosen here; empty if nothing.
    note : str
        What else a reader of the list should know.
    test_only : bool
        Whether the network exists for tests.
    """

    name: str
    title: str = ""
    build: Callable[[], LayerTable]
    aliases: tuple[str, ...] = ()
    conv_norm: str = BIAS
    norms: dict[str, str] = field(default_factory=dict)
    dropout: dict[str, float] = field(default_factory=dict)
    params_published: float | None = None
    macs_published: float | None = None
    inferred: str = ""
    note: str = ""
    test_only: bool = False

    @cached_property
    def table(self) -> LayerTable:
        """The layer table, named as the network."""
        return self.build()

    def norm_of(self, layer: Layer) -> str:
        """What follows the sums of ``layer``: ``batchnorm``, ``bias`` or ``plain``."""
        return self.norms.get(layer.name, self.conv_norm if layer.rule.normalised else BIAS)

    @property
    def trainable_params(self) -> int:
        """Weights, biases, and the two trained numbers per channel of batch norm."""
        extra = {BATCHNORM: 2, BIAS: 1, PLAIN: 0}
        return sum(
            layer.params + extra[self.norm_of(layer)] * layer.c_o for layer in self.table.layers if layer.has_weights
        )
