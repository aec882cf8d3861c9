"""Function tables: how well they follow their functions, and the definition bit by bit."""

import numpy as np
import pytest

from squeezelerator.models.arithmetic import golden
from squeezelerator.models.arithmetic.float_network import FloatLayer, FloatNetwork
from squeezelerator.models.arithmetic.quantised_network import QuantError, load_npz
from squeezelerator.models.quantisation.formats import quantise
from squeezelerator.models.quantisation.function_fit import fit_table
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.spec.functions.function_table import SEGMENTS, look_up
from squeezelerator.spec.network.layer_types import LAYER_TYPES, LayerType, Numbers

CODES = np.arange(-32768, 32768)
FUNCTIONS = [rule for rule in LAYER_TYPES.values() if rule.numbers is Numbers.TABLE]


def snr(wanted, found):
    return 10 * np.log10(np.sum(wanted**2) / np.sum((found - wanted) ** 2))


# The largest of exp(64) and its like leave nothing of the others in any 16 bits.
@pytest.mark.parametrize(("rule", "span"), [
    pytest.param(rule, span, id=f"{span}-{rule.name}") for rule in FUNCTIONS for span in ((2, 8) if rule.name == "Exp" else (2, 8, 64))
])  # fmt: skip
def test_tables_follow_their_functions(rule, span):
    """Over inputs of a normal distribution that takes an eighth of the range: 60 dB, and nowhere far off."""
    frac_in = 15 - span.bit_length() + 1
    exponent = -0.75 if rule.name == "Power" else 1.0
    low = span / 8 if rule.name == "Power" else -span
    x = np.random.default_rng(1).normal(0, span / 8, 20000)
    x = np.clip(np.abs(x) + low if low > 0 else x, -span, span)
    largest = np.abs(rule.real([x], exponent)).max()
    frac_out = 15 - int(np.frexp(largest)[1]) - 1
    found = fit_table(lambda v: rule.real([v], exponent), frac_in, frac_out)
    codes = np.rint(x * 2.0**frac_in).astype(np.int64)
    values = np.clip(look_up(codes, found.table.astype(np.int64), found.segment, found.shift), -32768, 32767)
    assert snr(rule.real([codes / 2**frac_in], exponent), values / 2.0**frac_out) > 60


def test_look_up_by_the_letter():
    rng = np.random.default_rng(3)
    table = np.stack([rng.integers(-32768, 32768, SEGMENTS), rng.integers(-(2**31), 2**31, SEGMENTS)])
    for segment, shift in ((0, 0), (3, 7), (8, 31)):
        found = look_up(CODES, table, segment, shift)
        for x in (*range(-32768, 32768, 997), 32767, -1, 0, 127 << segment, (128 << segment) - 1 if segment < 8 else 5):
            at = min(127, max(-128, x // 2**segment)) + 128
            total = int(table[0, at]) * x + int(table[1, at])
            assert found[x + 32768] == (total + (2 ** (shift - 1) if shift else 0)) // 2**shift


def network(exponent=-0.75):
    net = TableBuilder("functions", (3, 5, 4))
    a = net.layer("a", LayerType.SOFTPLUS)
    b = net.layer("b", LayerType.POWER)
    net.layer("y", LayerType.MUL, source=(a, b))
    return FloatNetwork(net.table(), {"b": FloatLayer(exponent=exponent)})


def test_factors_keep_formats_of_their_own(tmp_path):
    rng = np.random.default_rng(4)
    inputs = [rng.standard_normal((3, 5, 4)).astype(np.float32) * 4 + 6 for _ in range(2)]
    quantised = quantise(network(), inputs)
    assert quantised.frac_of("a") != quantised.frac_of("b")
    assert quantised.quant["y"].shift == quantised.frac_of("a") + quantised.frac_of("b") - quantised.frac_of("y")
    quantised.save_npz(tmp_path / "q.npz")
    read = load_npz(quantised.table, tmp_path / "q.npz")
    x = np.rint(inputs[0] * 2.0**quantised.input_frac).astype(np.int16)
    for name, value in golden.run(quantised, x).items():
        np.testing.assert_array_equal(golden.run(read, x)[name], value)


def test_a_file_without_a_table_is_refused(tmp_path):
    quantised = quantise(network())
    quantised.save_npz(tmp_path / "q.npz")
    arrays = dict(np.load(tmp_path / "q.npz"))
    for change, message in (({"a.table": None}, "has no a.table"), ({"a.table": np.zeros((2, 9), np.int32)}, "table must have shape"),
                            ({"a.table": np.full((2, 256), 40000, np.int32)}, "the slopes of its table must have 16 bits"),
                            ({"a.segment": np.int64(9)}, "segment must be 0 to 8, not 9")):
        np.savez(tmp_path / "w.npz", **{k: v for k, v in (arrays | change).items() if v is not None})
        with pytest.raises(QuantError, match=message):
            load_npz(quantised.table, tmp_path / "w.npz")
