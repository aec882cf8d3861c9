"""What readers refuse before they allocate anything, and what they refuse in one line instead of a library's traceback."""

import io
import itertools
import struct
import time
import zipfile
import zlib

import numpy as np
import onnx
import psutil
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from squeezelerator.common.errors import UserError
from squeezelerator.compiler.__main__ import main as compiler
from squeezelerator.models import importers
from squeezelerator.models.arithmetic.quantised_network import QuantError, load_npz
from squeezelerator.models.networks import zoo
from squeezelerator.models.pictures import images
from squeezelerator.models.pictures.arrays import ArrayError, read_arrays
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.models.tables.csv_file import read_csv
from squeezelerator.spec.energy import EnergyError, read_costs, write_costs

HEADER = "Name,Type,W_i,H_i,C_i,K_w,K_h,W_o,H_o,C_o,S,P_w,P_h,Repeat\n"
TABLE = zoo.get("tiny_chain")


def refused(call, *what, seconds=5):
    """The one line of a call that has to refuse, quickly and without much memory."""
    began, before = time.process_time(), psutil.Process().memory_info().rss
    with pytest.raises(UserError) as error:
        call(*what)
    assert time.process_time() - began < seconds and psutil.Process().memory_info().rss - before < 400 << 20
    assert "\n" not in str(error.value) and len(str(error.value)) < 1000
    return str(error.value)


@pytest.mark.parametrize(("rows", "message"), [
    ("a,Conv,1000000000,1,1,1,1,1000000000,1,1,1,0,0,1\n", "layer a: w_i must be at most 1048576, not 1000000000"),
    ("a,Conv,1048576,1024,1,1,1,1048576,1024,1,1,0,0,1\n", "layer a: its input has 1,073,741,824 elements, 268,435,456 are accepted"),
    (f"a,Conv,{'9' * 400},1,1,1,1,1,1,1,1,0,0,1\n", "W_i must be a whole number of at most 18 characters, not one of 400"),
    ("a,Conv,4,4,2,1,1,4,4,2,1,0,0,1000000000\n", "layer a: Repeat must be at most 4096, not 1000000000"),
    ("a,Conv,4,4,2,1,1,4,4,2,1,0,0,4000\nb,Conv,4,4,2,1,1,4,4,2,1,0,0,4000\n",
     "layer a: with 4000 times 2 there are more than 4096 layers"),
    ("".join(f"l{i},Conv,4,4,2,1,1,4,4,2,1,0,0,1\n" for i in range(5000)), "network net: has 5000 layers, 4096 are accepted"),
    ("a,FC,1024,1,1024,1024,1,1,1,1024,1,0,0,1\n", "layer a: the weights up to here have 1,073,741,824 elements, 268,435,456 are accepted"),
])
def test_tables_of_any_size(rows, message, tmp_path, capsys):
    (tmp_path / "net.csv").write_text(HEADER + rows)
    assert refused(read_csv, tmp_path / "net.csv").endswith(message)
    assert compiler([str(tmp_path / "net.csv"), "-o", str(tmp_path / "p.bin")]) == 2
    assert capsys.readouterr().err.endswith(message + "\n") and not (tmp_path / "p.bin").exists()


def bomb(path, name, count):
    """An archive whose one member unpacks to ``count`` GiB of zeros behind the header of an array."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<i2", "fortran_order": False, "shape": (count << 29,)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(f"{name}.npy", head.getvalue())
    # As if it were larger: the sizes stand in the archive's table.
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, min(count << 30, 0xFFFFFFF0))
    path.write_bytes(data)


def test_archives_that_unpack_to_gigabytes(tmp_path):
    path = tmp_path / "net.npz"
    bomb(path, "conv1.weight", 3)
    for call in (lambda: load_npz(TABLE, path), lambda: importers.load_weights(path, TABLE), lambda: read_arrays(path)):
        assert "its arrays take 3,221,225,472 bytes" in refused(call)
    # What fits no layer of the table is too much for it, too.
    np.savez_compressed(path, **{"conv1.weight": np.zeros(8 << 20, np.int16)})
    assert "its arrays take 16,777,344 bytes" in refused(load_npz, TABLE, path)


@pytest.mark.parametrize(("write", "message"), [
    (lambda path: path.write_bytes(b""), "is no file of arrays, or a damaged one: File is not a zip file"),
    (lambda path: path.write_bytes(b"\x93NUMPY"), "is no file of arrays, or a damaged one: EOF"),
    (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4',}"), "is no file of arrays, or a damaged one: "),
    (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"
                                   .ljust(117) + b"\n"), "its array takes 4,000,000,000,000 bytes, 2,147,483,648 are accepted"),
    (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (100,), }"
                                   .ljust(117) + b"\n"), "its header announces 400 bytes, and 0 follow it"),
    (lambda path: np.save(path.open("wb"), np.array([None])), "its array holds Python objects"),
])
def test_arrays_that_are_not_what_they_say(write, message, tmp_path):
    path = tmp_path / "x.npy"
    write(path)
    found = refused(read_arrays, path)
    assert found.startswith(f"{path}: ") and message in found


def test_an_archive_with_the_name_of_an_array_is_read(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.arange(3))
    (tmp_path / "x.npz").rename(tmp_path / "x.npy")
    assert read_arrays(tmp_path / "x.npy")["a"].tolist() == [0, 1, 2]
    with pytest.raises(ArrayError, match="cannot read .*none.npy: No such file or directory"):
        read_arrays(tmp_path / "none.npy")


def png(width, height):
    """A picture of that many black pixels."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compressobj(1)
    body = b"".join(rows.compress(bytes((width + 1) * (1 << 20))) for _ in range(height >> 20)) + rows.flush()
    head = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_pictures_of_any_size(tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(png(1, 60_000_000))
    assert "is 1 x 60000000 pixels and would have to be resized to 37 x 2220000000 pixels" in refused(images.load, path, (3, 32, 32))
    path.write_bytes(png(8_200, 8_200)[:10_000])
    assert "has 8200 x 8200 pixels, 67,108,864 are accepted" in refused(images.load, path, (3, 32, 32))
    Image.new("L", (3, 3000)).save(path)
    assert images.load(path, (1, 32, 32), "unit").shape == (1, 32, 32)


def state():
    """A state dict that fits the table."""
    return {f"{layer.name}.{field}": torch.ones(shape) for layer in TABLE.layers if layer.has_weights
            for field, shape in (("weight", layer.weight_shape), ("bias", (layer.c_o,)))}


def test_pytorch_tensors_of_every_kind(tmp_path):
    path, good = tmp_path / "net.pth", state()
    first = next(iter(good))
    torch.save({name: torch.nn.Parameter(value) for name, value in good.items()}, path)
    assert importers.load_weights(path, TABLE).params["conv1"].weight.max() == 1
    for value, kind in ((good[first].to_sparse(), "sparse"), (good[first].to("meta"), "on the meta device, without numbers"),
                        (torch.quantize_per_tensor(good[first], 0.1, 0, torch.qint8), "quantised")):
        torch.save({**good, first: value}, path)
        assert refused(importers.load_weights, path, TABLE) == f"{path}: tensor {first} is {kind}; dense tensors of plain numbers are read"


@pytest.mark.parametrize(("change", "message"), [
    (lambda text: text.replace("macs,1.0,", "macs,nan,").encode(), "the cost of macs must be a number of at least 0, not 'nan'"),
    (lambda text: text.replace("macs,1.0,", "macs,-1,").encode(), "the cost of macs must be a number of at least 0, not '-1'"),
    (lambda text: text.replace("macs,1.0,", "macs,inf,").encode(), "the cost of macs must be a number of at least 0, not 'inf'"),
    (lambda text: text.replace("macs,1.0,", "macs,,").encode(), "the cost of macs must be a number of at least 0, not ''"),
    (lambda text: b"", "column 'event' is missing; columns are event, cost, source"),
    (lambda text: text.encode("utf-16"), "is no table of energy costs, or a damaged one: 'utf-8' codec can't decode byte 0xff"),
])
def test_energy_costs(change, message, tmp_path):
    good = io.StringIO()
    write_costs(good)
    text = good.getvalue().replace("macs,1,", "macs,1.0,")
    assert "macs,1.0," in text
    path = tmp_path / "costs.csv"
    path.write_bytes(change(text))
    assert message in refused(read_costs, path)
    path.write_bytes(text.encode("utf-8-sig"))
    assert read_costs(path) == read_costs()
    with pytest.raises(EnergyError, match="cannot read .*none.csv: No such file or directory"):
        read_costs(tmp_path / "none.csv")


@pytest.mark.parametrize("field", ["input_frac", "conv1.frac_out"])
def test_formats_of_any_size(field, tmp_path):
    synthetic(TABLE).save_npz(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz") as archive:
        arrays = {**archive, field: np.int64(1 << 62)}
    np.savez(tmp_path / "net.npz", **arrays)
    with pytest.raises(QuantError, match=f"{field.split('.')[-1]} must be -256 to 256, not 4611686018427387904$"):
        load_npz(TABLE, tmp_path / "net.npz")


def graph(nodes, tensors=(), outputs=("y",)):
    """A model with an input x of (1, 3, 8, 8)."""
    return helper.make_model(helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs], list(tensors)),
        opset_imports=[helper.make_opsetid("", 17)])


CONV = helper.make_node("Conv", ["x", "w"], ["y"], name="conv")
WEIGHT = numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "w")


def external(path):
    onnx.save(graph([CONV], [WEIGHT]), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    (path.parent / "w.bin").unlink()


def inconsistent(path):
    tensor = numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "w")
    tensor.dims[0] = 1 << 40
    onnx.save(graph([CONV], [tensor]), path)


def not_text(path):
    model = graph([helper.make_node("Conv", ["x", "w"], ["y"], name="AAAA")], [WEIGHT])
    path.write_bytes(model.SerializeToString().replace(b"AAAA", b"\xff\xfe\xff\xfe"))


def many_nodes(path):
    names = ["x", *(f"t{i}" for i in range(30_000)), "y"]
    onnx.save(graph([helper.make_node("Relu", [a], [b]) for a, b in itertools.pairwise(names)]), path)


def endless_loop(path):
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["v"], ["u"])], "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, ()), helper.make_tensor_value_info("c", TensorProto.BOOL, ()),
         helper.make_tensor_value_info("v", TensorProto.FLOAT, (2,))],
        [helper.make_tensor_value_info("d", TensorProto.BOOL, ()), helper.make_tensor_value_info("u", TensorProto.FLOAT, (2,))])
    tensors = [WEIGHT, numpy_helper.from_array(np.array(1 << 62), "n"), numpy_helper.from_array(np.array(True), "t"),
               numpy_helper.from_array(np.zeros(2, np.float32), "z")]
    onnx.save(graph([helper.make_node("Loop", ["n", "t", "z"], ["b"], body=body, name="loop"),
                     helper.make_node("Conv", ["x", "w", "b"], ["y"])], tensors), path)


def large_constant(path):
    onnx.save(graph([helper.make_node("ConstantOfShape", ["s"], ["b"], name="large"), helper.make_node("Conv", ["x", "w", "b"], ["y"])],
                    [WEIGHT, numpy_helper.from_array(np.array([1 << 40]), "s")]), path)


@pytest.mark.parametrize(("write", "message"), [
    (external, "w.bin"), (inconsistent, "is no ONNX file, or a damaged one: "), (not_text, "is no ONNX file"),
    (many_nodes, "has 30,001 nodes, 20,000 are accepted"),
    (endless_loop, "node 'loop' (Loop): has graphs of its own; loops and branches are not computed"),
    (large_constant, "node 'large' (ConstantOfShape): would have 1,099,511,627,776 elements, 268,435,456 are accepted"),
])
def test_onnx_files(write, message, tmp_path):
    path = tmp_path / "net.onnx"
    write(path)
    found = refused(importers.load_onnx, path)
    assert found.startswith(f"{path}: ") and message in found
