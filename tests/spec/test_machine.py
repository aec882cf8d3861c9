"""What follows from a machine's parameters, and which machines there are."""

import pytest

from squeezelerator.spec.machine import MachineConfig


def test_the_buffer_is_between_limits():
    # Few PEs: 4 KiB for each of N * N; many: 56 KiB for each of N.
    for n, low, high in ((4, 2, 64), (14, 24.5, 784), (16, 32, 896), (32, 128, 1792)):
        assert MachineConfig(n=n, buffer_kib=low).buffer_kib == low and MachineConfig(n=n, buffer_kib=high).buffer_kib == high
        for wrong in (low - 0.5, high + 0.5):
            text = f"the buffer must be between {low:g} and {high:g} KiB for N={n}, not {wrong!r} KiB"
            with pytest.raises(ValueError, match=f"^{text}$"):
                MachineConfig(n=n, buffer_kib=wrong)


def test_the_bias_buffer_has_pairs_of_rows():
    found = {kib: MachineConfig(n=8, buffer_kib=kib) for kib in (8, 20, 20.5, 21, 32)}
    assert {kib: cfg.bias_rows for kib, cfg in found.items()} == {8: 8, 20: 20, 20.5: 20, 21: 20, 32: 32}
    assert MachineConfig(n=2, buffer_kib=1).bias_rows == 4
