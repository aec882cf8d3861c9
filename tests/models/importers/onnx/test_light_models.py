"""The nine networks that the ``onnx`` package ships for tests of back ends, in float; tests/system runs them on the machine."""

import pytest
from support.foreign import same_as_onnxruntime
from support.light_networks import LIGHT, light_model

_QUICK = ("squeezenet", "shufflenet")


@pytest.mark.parametrize("name", [name if name in _QUICK else pytest.param(name, marks=pytest.mark.slow) for name in LIGHT])
def test_scores_equal_onnxruntimes(name, tmp_path):
    net = same_as_onnxruntime(light_model(name), tmp_path, tolerance=1e-3)
    assert net.table.input_shape == (3, 224, 224)
