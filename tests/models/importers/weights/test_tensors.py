"""Weight files of a known table: every kind and naming, and one line for what does not fit."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from squeezelerator.models import importers
from squeezelerator.models.arithmetic import float_network
from squeezelerator.models.arithmetic.torch_network import torch_network
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.models.tables.builder import TableBuilder

TABLE = zoo.get("tiny_concat")
SHAPES = {layer.name: layer.weight_shape for layer in TABLE.layers if layer.has_weights}


def _arrays(weight="{}.weight", bias="{}.bias", shapes=SHAPES):
    rng = np.random.default_rng(3)
    arrays = {}
    for name, shape in shapes.items():
        arrays[weight.format(name)] = rng.standard_normal(shape).astype(np.float32)
        arrays[bias.format(name)] = rng.standard_normal(shape[0]).astype(np.float32)
    return arrays


def _check(net, arrays):
    values = list(arrays.values())
    for index, name in enumerate(SHAPES):
        np.testing.assert_array_equal(net.params[name].weight, values[2 * index].reshape(SHAPES[name]))
        np.testing.assert_array_equal(net.params[name].bias, values[2 * index + 1])


@pytest.mark.parametrize(("weight", "bias"), [
    ("{}.weight", "{}.bias"), ("{}_w", "{}_b"), ("layers.{}.conv.weight", "layers.{}.conv.bias"), ("module.{}.weight", "module.{}.bias"),
])  # fmt: skip
@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pth"])
def test_kinds_and_names(weight, bias, suffix, tmp_path):
    arrays, path = _arrays(weight, bias), tmp_path / f"net{suffix}"
    if suffix == ".npz":
        np.savez(path, **arrays)
    elif suffix == ".safetensors":
        save_file(arrays, path)
    else:
        torch.save({"state_dict": {key: torch.from_numpy(value) for key, value in arrays.items()}, "epoch": 3}, path)
    _check(importers.load_weights(path, TABLE), arrays)


def test_state_dict_of_this_projects_modules_with_batch_norm(tmp_path):
    network = zoo.network("sqnxt23v5")
    module = torch_network(network)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point() and value.ndim == 1:
                value.copy_(torch.rand(value.shape, generator=generator) + (0.5 if name.endswith("var") else -0.3))
    torch.save(module.state_dict(), tmp_path / "net.pth")
    net = importers.load_weights(tmp_path / "net.pth", network.table)
    x = torch.randn((1, *network.table.input_shape), generator=generator)
    with torch.no_grad():
        expected = module.eval()(x)[0].reshape(-1).numpy()
    scores = float_network.scores(net, x[0].numpy())
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def _torchvision_names():
    """Names of SqueezeNet v1.1's tensors as torchvision's module numbers them, layer by layer."""
    names = ["features.0"]
    for number in (3, 4, 6, 7, 9, 10, 11, 12):
        names += [f"features.{number}.{part}" for part in ("squeeze", "expand1x1", "expand3x3")]
    return [*names, "classifier.1"]


def _torchvision_state():
    table = zoo.get("squeezenet1_1")
    rng = np.random.default_rng(1)
    state = {}
    for name, layer in zip(_torchvision_names(), [layer for layer in table.layers if layer.has_weights], strict=True):
        state[f"{name}.weight"] = rng.standard_normal(layer.weight_shape).astype(np.float32)
        state[f"{name}.bias"] = rng.standard_normal(layer.c_o).astype(np.float32)
    return table, state


def test_names_of_torchvision_in_any_order(tmp_path):
    table, state = _torchvision_state()
    # .safetensors files are not in the order of the modules.
    save_file(dict(sorted(state.items())), tmp_path / "net.safetensors")
    net = importers.load_weights(tmp_path / "net.safetensors", table)
    np.testing.assert_array_equal(net.params["fire9_expand3x3"].weight, state["features.12.expand3x3.weight"])
    np.testing.assert_array_equal(net.params["conv10"].bias, state["classifier.1.bias"])


@pytest.mark.parametrize(("remove", "message"), [
    ("features.3.squeeze.weight", "has no weight for layer fire2_squeeze of squeezenet1_1"),
    ("features.3.squeeze", "has no weight for layer fire2_squeeze of squeezenet1_1; in its place is tensor features.3.expand1x1.weight"),
    ("classifier.1", "has no weight for layer conv10 of squeezenet1_1"),
    ("features.7.expand1x1.bias", "has no bias for layer fire5_expand1x1 of squeezenet1_1"),
])  # fmt: skip
def test_missing_tensors_of_torchvision(remove, message, tmp_path):
    table, state = _torchvision_state()
    save_file({key: value for key, value in state.items() if not key.startswith(remove)}, tmp_path / "net.safetensors")
    with pytest.raises(importers.WeightError) as error:
        importers.load_weights(tmp_path / "net.safetensors", table)
    assert str(error.value) == f"{tmp_path / 'net.safetensors'}: {message}"


def test_batch_norm_of_numbered_modules():
    net = TableBuilder("numbered", (3, 8, 8))
    net.conv("first", 4, 3)
    net.fc("second", 5)
    rng = np.random.default_rng(2)
    weight, matrix = rng.standard_normal((4, 3, 3, 3)), rng.standard_normal((5, 144))
    state = {"features.0.weight": weight, "classifier.1.weight": matrix, "classifier.1.bias": np.arange(5.0),
             "features.1.weight": np.full(4, 2.0), "features.1.bias": np.full(4, 3.0), "features.1.running_mean": np.full(4, 0.5),
             "features.1.running_var": np.full(4, 4.0), "features.1.num_batches_tracked": np.array(7)}  # fmt: skip
    loaded = importers.from_tensors("state", state, net.table())
    np.testing.assert_allclose(loaded.params["first"].weight, weight, rtol=1e-4)
    np.testing.assert_allclose(loaded.params["first"].bias, np.full(4, 2.5), rtol=1e-4)
    np.testing.assert_allclose(loaded.params["second"].weight.reshape(5, -1), matrix, rtol=1e-6)


@pytest.mark.parametrize(("change", "message"), [
    (lambda a: a.pop("squeeze.weight"), "has no weight for layer squeeze of tiny_concat"),
    (lambda a: a.pop("last.bias"), "has no bias for layer last of tiny_concat"),
    (lambda a: a.update({"extra.weight": np.zeros(3)}), "tensor extra.weight belongs to no layer of tiny_concat"),
    (lambda a: a.update({"odd": np.zeros(3)}), "tensor odd is neither a weight nor a bias nor part of a batch norm"),
    (lambda a: a.update({"squeeze.weight": np.zeros((4, 3, 1, 2))}),
     "tensor squeeze.weight has shape (4, 3, 1, 2), but layer squeeze needs (4, 3, 1, 1)"),
    (lambda a: a.update({"squeeze.bias": np.zeros(5)}), "tensor squeeze.bias has shape (5,), but layer squeeze needs (4,)"),
    (lambda a: a.update({"last.weight": np.full(SHAPES["last"], np.nan)}), "tensor last.weight contains NaN"),
    (lambda a: a.update({"last.weight": np.full(SHAPES["last"], -np.inf)}), "tensor last.weight contains infinity"),
    (lambda a: a.update({"last.weight": np.full(SHAPES["last"], "x")}), "tensor last.weight must hold numbers, not <U1"),
    (lambda a: a.update({"last.bias": np.full(SHAPES["last"][0], 1e200)}), "tensor last.bias contains numbers that exceed float32"),
    (lambda a: a.update({"last.weight": np.full(SHAPES["last"], None)}), "tensor last.weight is no array of numbers"),
    (lambda a: a.update({"squeeze_w": a["squeeze.weight"]}), "tensors squeeze.weight and squeeze_w are both the weight of squeeze"),
    (lambda a: a.clear(), "holds no tensors"),
])  # fmt: skip
def test_bad_tensors(change, message, tmp_path):
    arrays, path = _arrays(), tmp_path / "net.npz"
    change(arrays)
    np.savez(path, **arrays)
    with pytest.raises(importers.WeightError) as error:
        importers.load_weights(path, TABLE)
    assert str(error.value) == f"{path}: {message}"


def test_what_else_calls_itself_so(tmp_path):
    torch.save(torch.nn.Linear(3, 4), tmp_path / "module.pth")
    (tmp_path / "text.pth").write_text("hello")
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    for name, message in (
        ("module.pth", "holds Python objects, which are not read; save the module's state_dict()"),
        ("text.pth", "is no file that PyTorch wrote, or a damaged one"), ("text.npz", "is no .npz file of named tensors"),
        ("one.npz", "is one array, not an .npz file of named tensors"), ("none.npz", "cannot be read: No such file or directory"),
    ):  # fmt: skip
        with pytest.raises(importers.WeightError) as error:
            importers.load_weights(tmp_path / name, TABLE)
        assert str(error.value) == f"{tmp_path / name}: {message}"


def _damaged(data, kind):
    for place in range(0, len(data), max(1, len(data) // 60)):
        yield data[:place] if kind == "cut" else data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


@pytest.mark.parametrize("kind", ["cut", "flipped"])
@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".pth", ".net"])
def test_damaged_files_are_refused_in_one_line_or_read(suffix, kind, tmp_path):
    path, arrays = tmp_path / f"net{suffix}", _arrays()
    if suffix == ".npz":
        np.savez_compressed(path, **arrays)
    elif suffix == ".safetensors":
        save_file(arrays, path)
    elif suffix == ".pth":
        torch.save({key: torch.from_numpy(value) for key, value in arrays.items()}, path)
    else:
        path.write_bytes(_net_file(TABLE, np.random.default_rng(5))[0])
    for data in _damaged(path.read_bytes(), kind):
        path.write_bytes(data)
        try:
            importers.load_weights(path, TABLE)
        except ValueError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
        else:
            assert kind == "flipped"


@pytest.mark.parametrize("name", ["net.npz", "net.pth", "net.safetensors", "net.net", "net.sqz"])
@pytest.mark.parametrize("content", [b"", b"not at all what the name says", None])
def test_files_that_are_something_else(name, content, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(importers.WeightError) as error:
        importers.load_weights(tmp_path / name, TABLE)
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(error.value)


def test_unknown_extension():
    with pytest.raises(importers.WeightError, match=r"^net.h5: weights come from .npz, .safetensors, .pth, .pt, .net, .sqz, not from .h5$"):
        importers.load_weights("net.h5", TABLE)


def _net_file(table, rng):
    """Bytes of a Deep Compression file, and the weights that it stands for."""
    layers = [layer for layer in table.layers if layer.has_weights]
    counts, bodies, weights = [], [], {}
    for layer in layers:
        steps = rng.integers(0, 16, max(1, layer.params // 17))
        position = np.cumsum(steps + 1) - 1
        position, steps = position[position < layer.params], steps[: np.count_nonzero(position < layer.params)]
        codebook, codes = rng.standard_normal(256).astype("<f4"), rng.integers(0, 256, len(position)).astype(np.uint8)
        padded = np.append(steps, 0)[: 2 * -(-len(steps) // 2)].astype(np.uint8)
        packed = padded[0::2] | padded[1::2] << 4
        bias = rng.standard_normal(layer.c_o).astype("<f4")
        weight = np.zeros(layer.params, np.float32)
        weight[position] = codebook[codes]
        weights[layer.name] = weight.reshape(layer.weight_shape), bias
        counts.append(len(position))
        bodies.append(codebook.tobytes() + bias.tobytes() + codes.tobytes() + packed.tobytes())
    return np.array(counts, "<u4").tobytes() + b"".join(bodies), weights


def test_deep_compression(tmp_path):
    data, weights = _net_file(TABLE, np.random.default_rng(5))
    path = tmp_path / "net.net"
    path.write_bytes(data)
    net = importers.load_weights(path, TABLE)
    for name, (weight, bias) in weights.items():
        np.testing.assert_array_equal(net.params[name].weight, weight)
        np.testing.assert_array_equal(net.params[name].bias, bias)
    assert net.preprocessing == "caffe"


@pytest.mark.parametrize(("change", "message"), [
    (lambda data: data[:-1], "ends within last's positions"),
    (lambda data: data[:100], "ends within squeeze's codebook"),
    (lambda data: data + b"x", "1 bytes follow the last layer; is it the file of another network?"),
    (lambda data: b"\xff\xff" + data[2:], "squeeze would have 65535 stored entries, but the layer has 12 weights in tiny_concat"),
    (lambda data: data[:16] + np.array(np.nan, "<f4").tobytes() + data[20:], "squeeze's codebook contains NaN"),
])  # fmt: skip
def test_damaged_deep_compression(change, message, tmp_path):
    path = tmp_path / "net.net"
    path.write_bytes(change(_net_file(TABLE, np.random.default_rng(5))[0]))
    with pytest.raises(importers.WeightError) as error:
        importers.load_weights(path, TABLE)
    assert str(error.value).startswith(f"{path}: {message}")


def test_sources_tell_quantised_from_float_weights(tmp_path):
    from squeezelerator.models.sources import load_source

    quantised = synthetic(TABLE)
    quantised.save_npz(tmp_path / "quantised.npz")
    loaded = load_source("tiny_concat", tmp_path / "quantised.npz")
    assert loaded.net is None
    np.testing.assert_array_equal(loaded.quantised.quant["last"].weight, quantised.quant["last"].weight)
    np.savez(tmp_path / "float.npz", **_arrays())
    loaded = load_source("tiny_concat", tmp_path / "float.npz")
    assert loaded.net is not None
    assert len(loaded.report()) == len(TABLE.layers) + 2
    assert load_source("tiny_concat").quantised.synthetic
    assert not load_source("digits").quantised.synthetic


_DATA = Path(os.environ.get("DATA", ""))
_needs_data = pytest.mark.skipif(not os.environ.get("DATA"), reason="the environment variable DATA names no folder of trained weights")


@_needs_data
@pytest.mark.parametrize(("network", "file", "zeros"), [
    ("squeezenet1_1", "squeezenet_v1.1.npz", 0),
    # 422,083 entries are stored, 6,162 of them fillers.
    ("squeezenet1_0", "squeezenet_v1.0_deep_compression.net", 1_244_448 - 422_083 + 6_162),
])  # fmt: skip
def test_trained_weights(network, file, zeros):
    if not (_DATA / file).exists():
        pytest.skip(f"DATA has no {file}")
    net = importers.load_weights(_DATA / file, zoo.get(network))
    assert sum(int(np.count_nonzero(numbers.weight == 0)) for numbers in net.params.values()) == zeros


@_needs_data
def test_weights_of_another_network():
    path = _DATA / "squeezenet_v1.1.npz"
    if not path.exists():
        pytest.skip("DATA has no squeezenet_v1.1.npz")
    with pytest.raises(importers.WeightError, match=r"tensor conv1_w has shape \(64, 3, 3, 3\), but layer conv1 needs \(96, 3, 7, 7\)$"):
        importers.load_weights(path, zoo.get("squeezenet1_0"))
