"""Layer tables: counts, validation, CSV."""

from dataclasses import replace

import pytest

from squeezelerator.models.networks import zoo
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.models.tables.csv_file import REQUIRED, read_csv, to_rows, write_csv
from squeezelerator.spec.network.layer import Layer, LayerType, TableError
from squeezelerator.spec.network.layer_table import LayerTable


def _table(*layers, shape=(3, 8, 8)):
    return LayerTable("net", shape, layers)


def _conv(name="conv", **changes):
    layer = Layer(
        name=name, type="Conv", inputs=("input",), w_i=8, h_i=8, c_i=3, k_w=3, k_h=3, w_o=8, h_o=8, c_o=4, p_w=1, p_h=1
    )
    return replace(layer, **changes)


def test_counts_of_a_layer():
    layer = _conv(c_i=4, c_o=6, groups=2, k_h=1, p_h=0)
    assert layer.weight_shape == (6, 2, 1, 3)
    assert layer.params == 36
    assert layer.macs == 36 * 64
    assert layer.macs_with_bias == (6 + 1) * 6 * 64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"w_o": 5}, "layer conv: w_o must be 7 to 9 for input 8, kernel 3, stride 1, padding 1, not 5"),
        ({"h_o": 4, "p_h": 0}, "layer conv: h_o must be 6 to 8 for input 8, kernel 3, stride 1, padding 0, not 4"),
        ({"c_i": 4}, "layer conv: expects 4 input channels, but its inputs have 3"),
        ({"inputs": ("nobody",)}, "layer conv: input 'nobody' is no earlier layer"),
        ({"inputs": ()}, "layer conv: has no input"),
        ({"inputs": ("input", "input")}, "layer conv: expects 3 input channels, but its inputs have 6"),
        ({"groups": 2}, "layer conv: 2 groups do not divide 3 input and 4 output channels"),
        ({"groups": 0}, "layer conv: groups must be at least 1, not 0"),
        ({"s_x": 0}, "layer conv: s_x must be at least 1, not 0"),
        ({"p_w": 3}, "layer conv: p_w must be between 0 and k_w - 1 = 2, not 3"),
        ({"type": "LRN"}, f"layer conv: type must be one of {', '.join(LayerType)}, not 'LRN'"),
        ({"activation": "tanh"}, "layer conv: activation must be one of none, relu, leaky, relu6, not 'tanh'"),
        ({"type": "MaxPool"}, "layer conv: MaxPool keeps its 3 channels, c_o must not be 4"),
        ({"type": "MaxPool", "c_o": 3, "activation": "relu"}, "layer conv: MaxPool has no activation, not 'relu'"),
        ({"type": "FC"}, "layer conv: FC covers its whole 8x8 input, not 3x3"),
        ({"w_i": 7}, "layer conv: expects input maps of 7x8, but gets input 8x8"),
    ],
)
def test_inconsistent_layers_are_refused(changes, message):
    with pytest.raises(TableError) as error:
        _table(_conv(**changes)).validate()
    assert str(error.value) == message


def test_duplicate_names_and_bad_sums_are_refused():
    with pytest.raises(TableError, match="^layer conv: the name is used twice$"):
        _table(_conv(), _conv()).validate()
    add = Layer(name="add", type="Add", inputs=("conv", "input"), w_i=8, h_i=8, c_i=4, w_o=8, h_o=8, c_o=4)
    with pytest.raises(TableError, match=r"^layer add: Add needs 2 inputs of 4 channels, not 2 with \[4, 3\]$"):
        _table(_conv(), add).validate()
    with pytest.raises(TableError, match="^network net: has no layers$"):
        _table().validate()


def test_ceil_mode_ends_with_a_window_that_touches_the_input():
    net = TableBuilder("net", (3, 112, 112))
    net.max_pool("pool", 3, 2, ceil=True)
    assert net.table().by_name["pool"].out_shape == (3, 56, 56)
    assert net.table().by_name["pool"].pad_after == (1, 1)


def test_graph_queries():
    table = zoo.get("tiny_residual")
    assert table.outputs == ("conv4",)
    assert [layer.name for layer in table.consumers("conv1")] == ["conv2", "add1"]
    assert table.shape_of("input") == (3, 8, 8)


@pytest.mark.parametrize("name", zoo.names())
def test_csv_round_trip(name, tmp_path):
    table = zoo.get(name)
    write_csv(table, tmp_path / f"{name}.csv")
    assert read_csv(tmp_path / f"{name}.csv") == table
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.csv"]


def _write(path, rows):
    path.write_text("".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in rows))
    return path


def test_csv_without_inputs_is_a_chain_and_repeats_expand(tmp_path):
    header = [*REQUIRED, "Repeat", "MAC"]
    rows = [
        ["conv1", "Conv", 8, 8, 3, 3, 3, 8, 8, 6, 1, 1, 1, 1, "11"],
        ["narrow", "Conv", 8, 8, 6, 1, 1, 8, 8, 3, 1, 0, 0, 3, ""],
        ["wide", "Conv", 8, 8, 3, 1, 1, 8, 8, 6, 1, 0, 0, 3, ""],
        ["last", "Conv", 8, 8, 6, 1, 1, 8, 8, 2, 1, 0, 0, 1, ""],
    ]
    table = read_csv(_write(tmp_path / "mine.csv", [header, *rows]))
    assert table.name == "mine"
    assert {layer.name: layer.inputs for layer in table.layers} == {
        "conv1": ("input",),
        "narrow": ("conv1",),
        "wide": ("narrow",),
        "narrow_r2": ("wide",),
        "wide_r2": ("narrow_r2",),
        "narrow_r3": ("wide_r2",),
        "wide_r3": ("narrow_r3",),
        "last": ("wide_r3",),
    }


_ROW = ["conv1", "Conv", "8", "8", "3", "3", "3", "8", "8", "6", "1", "1", "1"]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda head, row: (head.remove("K_h"), row.pop(6)), "column K_h is missing"),
        (lambda head, row: row.pop(), "line 2: has fewer cells than the header"),
        (lambda head, row: row.append("1"), "line 2: has more cells than the header"),
        (lambda head, row: row.__setitem__(2, "8.5"), "line 2: W_i must be a whole number, not '8.5'"),
        (lambda head, row: row.__setitem__(0, ""), "line 2: '' cannot be the name of a layer"),
        (
            lambda head, row: (head.append("Repeat"), row.append("2")),
            "conv1 to conv1 cannot be repeated 2 times, because they turn (3, 8, 8) into (6, 8, 8)",
        ),
        (
            lambda head, row: (head.append("MAC"), row.append("12")),
            "line 2: MAC is 12 thousand, but the shape of conv1 makes 10.752",
        ),
        (
            lambda head, row: (head.append("Groups"), row.append("2")),
            "layer conv1: 2 groups do not divide 3 input and 6 output channels",
        ),
        (lambda head, row: (head.append("Groups"), row.append("0")), "layer conv1: groups must be at least 1, not 0"),
    ],
)
def test_bad_csv_is_refused_in_one_line(edit, message, tmp_path):
    head, row = list(REQUIRED), list(_ROW)
    edit(head, row)
    path = _write(tmp_path / "bad.csv", [head, row])
    with pytest.raises(TableError) as error:
        read_csv(path)
    assert str(error.value).endswith(message)
    assert "\n" not in str(error.value)


def test_unreadable_csv(tmp_path):
    for content in (b"", b"Name\n", b"\xff\xfe\x00"):
        (tmp_path / "bad.csv").write_bytes(content)
        with pytest.raises(TableError):
            read_csv(tmp_path / "bad.csv")
    with pytest.raises(TableError, match="cannot be read"):
        read_csv(tmp_path / "none.csv")


def test_counts_are_in_the_seeds_units():
    row = dict(zip(to_rows(zoo.get("sqnxt23"))[0], to_rows(zoo.get("sqnxt23"))[1], strict=True))
    assert (row["Params"], row["MAC"], row["Act. size"]) == ("9.472", "116704.512", "3080.25")
