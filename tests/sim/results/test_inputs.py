"""Inputs read from files, outputs written to them."""

import numpy as np

from squeezelerator.sim.results.inputs import output_bytes


def test_an_output_may_have_any_name(tmp_path):
    values = {"file": np.arange(3, dtype=np.float32), "allow_pickle": np.ones((1, 2), np.float32), "a/b:0": np.zeros(1, np.float32)}
    (tmp_path / "y.npz").write_bytes(output_bytes(tmp_path / "y.npz", values))
    found = np.load(tmp_path / "y.npz", allow_pickle=False)
    assert set(found.files) == set(values)
    assert all((found[name] == value).all() for name, value in values.items())
