"""Pruning, sharing, Huffman coding, and the file that holds the result."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezelerator.models import digits, importers
from squeezelerator.models.arithmetic.float_network import FloatLayer, FloatNetwork
from squeezelerator.models.compress import codec, huffman
from squeezelerator.models.compress.errors import CompressError
from squeezelerator.models.compress.prune import nonzero, prune
from squeezelerator.models.compress.settings import by_layer
from squeezelerator.models.compress.share import cluster, share
from squeezelerator.models.compress.table import compress, lines, steps
from squeezelerator.models.networks import zoo
from squeezelerator.sim.compression import main

TABLE = zoo.get("tiny_all")


def _network(zeros=0.5, seed=1):
    rng = np.random.default_rng(seed)
    params = {}
    for layer in TABLE.layers:
        if layer.has_weights:
            weight = rng.standard_normal(layer.weight_shape).astype(np.float32)
            weight[rng.random(layer.weight_shape) < zeros] = 0
            params[layer.name] = FloatLayer(weight=weight, bias=rng.standard_normal(layer.c_o).astype(np.float32))
    return FloatNetwork(TABLE, params, "caffe").validate()


@pytest.mark.parametrize("sparsity", [0, 0.37, 0.9, 1])
def test_pruning_reaches_the_share_in_every_layer(sparsity):
    net = _network(zeros=0)
    pruned = prune(net, sparsity)
    for name, numbers in pruned.params.items():
        assert np.count_nonzero(numbers.weight == 0) == round(sparsity * numbers.weight.size)
        kept = numbers.weight != 0
        np.testing.assert_array_equal(numbers.weight[kept], net.params[name].weight[kept])
        if kept.any() and not kept.all():
            assert np.abs(net.params[name].weight[~kept]).max() <= np.abs(numbers.weight[kept]).min()


def test_pruning_over_the_network_and_by_layer():
    net = _network(zeros=0)
    assert nonzero(prune(net, 0.6, scope="network")) == TABLE.params - round(0.6 * TABLE.params)
    by_layer = prune(net, {"conv1": 0.5})
    assert nonzero(by_layer) == TABLE.params - round(0.5 * net.params["conv1"].weight.size)


@pytest.mark.parametrize(("arguments", "message"), [
    (({"conv1": 2},), "the sparsity of conv1 must be between 0 and 1, not 2"),
    (({"convX": 0.5},), "tiny_all has no layer convX with weights"),
    ((float("nan"),), "the sparsity must be between 0 and 1, not nan"),
])  # fmt: skip
def test_impossible_sparsity(arguments, message):
    with pytest.raises(CompressError) as error:
        prune(_network(), *arguments)
    assert str(error.value) == message
    with pytest.raises(CompressError, match="the scope of pruning must be layer or network, not 'all'"):
        prune(_network(), 0.5, scope="all")


def test_clusters_are_a_local_optimum():
    values = np.random.default_rng(1).standard_normal(5000).astype(np.float32)
    centres = cluster(values, 15).astype(np.float64)
    nearest = np.abs(values[:, None] - centres).argmin(axis=1)
    for number, centre in enumerate(centres):
        assert abs(values[nearest == number].mean() - centre) < 0.01
    # The mean squared error of the best 15 levels for a normal distribution is about 0.0135.
    assert np.mean((values - centres[nearest]) ** 2) < 0.015


@pytest.mark.parametrize("bits", [1, 3, 6, 8])
def test_sharing(bits):
    net = _network()
    shared = share(net, bits)
    for name, item in shared.shared.items():
        assert len(item.codebook) <= 1 << bits
        assert item.codebook[0] == 0
        np.testing.assert_array_equal(item.weight == 0, net.params[name].weight == 0)
        np.testing.assert_array_equal(shared.net.params[name].weight, item.weight)


def test_few_values_are_shared_exactly():
    net = prune(_network(), 0.9)
    exact = share(net, 8)
    for name, numbers in net.params.items():
        if len(np.unique(numbers.weight)) < 256:
            np.testing.assert_array_equal(exact.net.params[name].weight, numbers.weight)


@pytest.mark.parametrize("bits", [0, 9, 2.5, {"conv1": 4}])
def test_impossible_bits(bits):
    with pytest.raises(CompressError, match="bits must be 1 to 8, not"):
        share(_network(), bits)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 255), max_size=300), st.integers(1, 40))
def test_huffman_round_trip(symbols, repeat):
    message = np.array(symbols * repeat, np.uint8)
    lengths = huffman.code_lengths(np.bincount(message, minlength=256))
    np.testing.assert_array_equal(huffman.unpack_lengths(huffman.pack_lengths(lengths), 256), lengths)
    data = huffman.encode(message, lengths)
    np.testing.assert_array_equal(huffman.decode(data, lengths, len(message)), message)
    counts = np.bincount(message, minlength=256)
    if np.count_nonzero(counts) > 1:
        share_of = counts[counts > 0] / len(message)
        entropy = -np.sum(share_of * np.log2(share_of)) * len(message)
        assert entropy - 8 <= 8 * len(data) <= entropy + len(message) + 8


def test_huffman_words_stay_short():
    lengths = huffman.code_lengths([1 << min(62, number) for number in range(40)])
    assert lengths.max() <= huffman.MAX_LENGTH
    assert np.sum(2.0 ** -lengths.astype(float)) <= 1


@pytest.mark.parametrize(("data", "lengths", "count"), [
    (b"", [1, 1], 1), (b"\x00", [1, 1], 9), (b"\x00\x00", [1, 1], 3), (b"\xff", [1, 0], 3), (b"\x00", [1, 1, 1], 3), (b"\x00", [0, 0], 3),
])  # fmt: skip
def test_huffman_refuses_damage(data, lengths, count):
    with pytest.raises(CompressError):
        huffman.decode(data, lengths, count)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 70), st.integers(1, 255)), max_size=60), st.integers(0, 90), st.sampled_from(codec.STEP_BITS))
def test_sparse_entries_round_trip(runs, tail, step_bits):
    codes = np.array([*(value for zeros, code in runs for value in [0] * zeros + [code]), *[0] * tail], np.uint8)
    stored, moves = codec.sparse_entries(codes, step_bits)
    assert len(stored) == len(moves)
    assert moves.max(initial=0) < 1 << step_bits
    np.testing.assert_array_equal(codec.dense_codes(stored, moves, len(codes)), codes)


@pytest.mark.parametrize("bits", [1, 2, 5, 8])
@pytest.mark.parametrize("zeros", [0, 0.6, 0.99, 1])
def test_file_round_trip(bits, zeros, tmp_path):
    shared = share(_network(zeros), bits)
    (tmp_path / "net.sqz").write_bytes(codec.encode(shared))
    decoded = importers.load_weights(tmp_path / "net.sqz", TABLE)
    for name, numbers in shared.net.params.items():
        np.testing.assert_array_equal(decoded.params[name].weight, numbers.weight)
        np.testing.assert_array_equal(decoded.params[name].bias, numbers.bias)
    assert decoded.preprocessing == "caffe"
    assert codec.encode(share(decoded, bits)) == codec.encode(share(decoded, bits))


def _resealed(data):
    return data[:-4] + struct.pack("<I", zlib.crc32(data[:-4]))


def test_damaged_files():
    data = codec.encode(share(_network(), 4))
    for place in range(0, len(data), 97):
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        with pytest.raises(CompressError):
            codec.decode(bytes(damaged), TABLE)
    for end in (0, 4, 10, len(data) - 1):
        with pytest.raises(CompressError):
            codec.decode(data[:end], TABLE)
    with pytest.raises(CompressError, match="has 9 layers with weights, but tiny_chain has 3"):
        codec.decode(data, zoo.get("tiny_chain"))


@pytest.mark.parametrize("place", range(4, 90, 3))
def test_files_that_lie_are_refused_or_read(place):
    # With a valid checksum whatever stands in the file must end in an error line or in weights, never in a crash.
    data = bytearray(codec.encode(share(_network(), 4)))
    data[place] ^= 0xFF
    try:
        codec.decode(_resealed(bytes(data)), TABLE)
    except ValueError as error:
        assert "\n" not in str(error)


def test_table_of_the_steps():
    net = _network(zeros=0)
    seen, said = [], []

    def machine(item, dense):
        seen.append((item, dense))
        return 1000 - len(seen), 5e6

    rows = steps(net, compress(net, sparsity=0.7, bits=4), measure_accuracy=nonzero, measure_machine=machine, say=said.append)
    assert [row.name for row in rows] == ["dense", "pruned", "shared", "Huffman"]
    assert rows[0].size == 4 * (TABLE.params + sum(layer.c_o for layer in TABLE.layers if layer.has_weights))
    assert rows[0].size > rows[1].size > rows[2].size
    assert [row.cycles for row in rows] == [999, 998, 997, 997]
    assert [dense for _, dense in seen] == [True, False, False]
    assert said == [f"{name}: {what} ..." for name in ("dense", "pruned", "shared") for what in ("accuracy", "cycles and energy")]
    assert rows[1].zeros == pytest.approx(0.7, abs=0.01)
    assert len(lines(rows)) == 5


def test_a_network_that_is_pruned_already_is_dense_only_in_the_first_step():
    net = _network(zeros=0.8)
    rows = steps(net, compress(net, bits=4), measure_accuracy=nonzero, measure_machine=lambda item, dense: (9 if dense else 5, 1.0))
    assert [row.cycles for row in rows] == [9, 5, 5, 5]
    assert rows[0].accuracy == rows[1].accuracy


@pytest.mark.parametrize(("text", "number", "expected"), [
    ("6", int, (6, {})), ("6,conv1=8", int, (6, {"conv1": 8})), ("conv1=8, fc=4", int, (None, {"conv1": 8, "fc": 4})),
    ("0.5,a=0.25", float, (0.5, {"a": 0.25})),
])  # fmt: skip
def test_numbers_by_layer(text, number, expected):
    assert by_layer("--x", text, number) == expected


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_command_line(jobs, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("DATA", raising=False)
    path = tmp_path / "digits.sqz"
    assert main(["digits", "--bits", "8", "--no-machine", "--jobs", jobs, "-o", str(path)]) == 0
    assert capsys.readouterr().out.count("\n") == 5
    loaded = importers.load_weights(path, digits.NETWORK.table)
    assert loaded.table == digits.NETWORK.table


def test_command_line_with_the_machine(capsys):
    assert main(["digits", "--bits", "5,conv1=8", "--sparsity", "0.7,conv1=0", "--pe", "4", "--jobs", "1"]) == 0
    found = capsys.readouterr()
    rows = [line.split() for line in found.out.splitlines()[1:5]]
    assert [row[0] for row in rows] == ["dense", "pruned", "shared", "Huffman"]
    cycles, energy = ([int(row[at].replace(",", "")) for row in rows] for at in (4, 5))
    # Zeros are not multiplied, and where they are is all that time depends on.
    assert cycles[0] > cycles[1] == cycles[2] == cycles[3]
    assert energy[0] > energy[1] >= energy[2] == energy[3]
    assert all(row[-1] == "355" and "top-1" in row for row in rows)
    assert found.err.splitlines()[0] == "pruning, sharing, coding ..."
    assert len(found.err.splitlines()) == 7


@pytest.mark.parametrize(("args", "message"), [
    (["tiny_all"], "tiny_all has no trained weights here: name them with --weights FILE"),
    (["digits", "--bits", "12"], "layer conv1: bits must be 1 to 8, not 12"),
    (["digits", "--bits", "many"], "--bits takes a number, and others for single layers if need be (6,conv1=8), not 'many'"),
    (["digits", "--bits", "6,7"], "--bits 6,7: says twice what holds for all other layers"),
    (["digits", "--bits", "6,conv1=7,conv1=7"], "--bits 6,conv1=7,conv1=7: says twice what holds for layer conv1"),
    (["digits", "--bits", "6,convX=7"], "digits has no layer convX with weights"),
    (["digits", "--bits", "conv1=7"], "layer stage1_block1_shortcut: bits must be 1 to 8, not None"),
    (["digits", "--sparsity", "2"], "the sparsity must be between 0 and 1, not 2.0"),
    (["digits", "--sparsity", "0.5,conv1=0.1", "--scope", "network"], "a sparsity for each layer cannot be spread over the network"),
    (["digits", "--jobs", "0"], "--jobs must be at least 1, not 0"),
    (["digits", "--pe", "99"], "N must be a whole number from 2 to 32, not 99"),
    (["digits", "--weights", "none.sqz"], "none.sqz: cannot be read: No such file or directory"),
])  # fmt: skip
def test_complaints_are_one_line_and_leave_no_file(args, message, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("DATA", raising=False)
    assert main([*args, "-o", str(tmp_path / "net.sqz")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("python -m models.compress: ")
    assert error == f"python -m models.compress: {message}\n"
    assert not list(tmp_path.iterdir())


def test_an_output_that_cannot_be_written_is_known_at_once(tmp_path, capsys):
    for path in (tmp_path / "none" / "net.sqz", tmp_path):
        assert main(["digits", "-o", str(path)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"python -m models.compress: {path}: ") and error.count("\n") == 1


@pytest.mark.skipif(not os.environ.get("DATA"), reason="the environment variable DATA names no folder of trained weights")
def test_squeezenet_in_half_a_megabyte():
    path = Path(os.environ["DATA"]) / "squeezenet_v1.0_deep_compression.net"
    if not path.exists():
        pytest.skip(f"DATA has no {path.name}")
    net = importers.load_weights(path, zoo.get("squeezenet1_0"))
    shared = share(net, 6)
    data = codec.encode(shared)
    assert len(data) <= 500_000
    decoded = codec.decode(data, net.table)
    for name, numbers in shared.net.params.items():
        np.testing.assert_array_equal(decoded.params[name].weight, numbers.weight)
    # Its authors' own 8 bits lose nothing.
    exact = share(net, 8)
    assert all(np.array_equal(exact.net.params[name].weight, net.params[name].weight) for name in net.params)
