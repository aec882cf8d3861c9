"""Damaged files of every kind: each is read or refused in one line."""

import random

from squeezelerator.sim.fuzz import files
from squeezelerator.sim.fuzz.file_damage import damaged
from squeezelerator.sim.fuzz.file_kinds import KINDS, seeds
from squeezelerator.sim.fuzz.files import main, try_files


def test_damaged_files_are_read_or_refused_in_one_line(tmp_path):
    found = list(try_files(0, range(300), tmp_path))
    assert not [(number, kind, outcome) for number, kind, outcome in found if not outcome.good]
    assert {kind for _, kind, _ in found} == set(KINDS) and {outcome for *_, outcome in found} == {"read", "refused"}


def test_undamaged_files_are_read(tmp_path):
    seeds(tmp_path)
    for name, _, read in KINDS.values():
        read(tmp_path / name)


def test_what_goes_wrong_is_said(tmp_path, monkeypatch, capsys):
    def bad(path):
        raise KeyError("a defect")

    monkeypatch.setattr(files, "KINDS", {kind: (name, write, bad) for kind, (name, write, _) in KINDS.items()})
    assert main(["--files", "2", "--keep", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith("KeyError: 'a defect': python -m sim.fuzz.files --seed 1 --first 1 --files 1 --keep FOLDER")
    assert (tmp_path / f"1-{KINDS[lines[-1].split(':')[0]][0]}").exists()


def test_readers_that_die_or_sleep_are_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SECONDS", 1)
    endless = dict.fromkeys(KINDS, ("x", lambda path: path.write_bytes(b"x"), lambda path: [0 for _ in iter(int, 1)]))
    monkeypatch.setattr(files, "KINDS", endless)
    monkeypatch.setattr(files, "seeds", lambda folder: dict.fromkeys(KINDS, b"x"))
    assert [outcome for *_, outcome in try_files(0, [0], tmp_path)] == ["too slow"]
    greedy = dict.fromkeys(KINDS, ("x", None, lambda path: bytearray(files.MEMORY_BYTES + (1 << 30))))
    monkeypatch.setattr(files, "KINDS", greedy)
    assert [outcome for *_, outcome in try_files(0, [0], tmp_path)] == ["MemoryError"]
    monkeypatch.setattr(files, "KINDS", dict.fromkeys(KINDS, ("x", None, lambda path: __import__("os")._exit(3))))
    assert [outcome for *_, outcome in try_files(0, [0], tmp_path)] == ["died"]


def test_damage_is_repeatable_and_damages():
    data = bytes(range(200))
    assert damaged(data, random.Random(5)) == damaged(data, random.Random(5))
    assert sum(damaged(data, random.Random(seed)) != data for seed in range(50)) > 45
