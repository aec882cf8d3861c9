"""The networks' counts against the published ones."""

import pytest

from models import zoo


def test_counts_of_v5():
    table = zoo.get("1.0-SqNxt-23v5")
    assert table.params == 915_648
    assert table.macs_with_bias == 228_018_984
    assert table.outputs == ("fc1000",)


def test_unknown_network():
    with pytest.raises(zoo.UnknownNetwork, match="^unknown network 'resnet50'; there are sqnxt23, "):
        zoo.get("resnet50")
