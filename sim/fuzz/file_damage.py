"""What happens to files: cut, flipped, moved, other numbers, other encodings, damaged members of archives."""

import io
import random
import zipfile

__all__ = ["damaged"]

#: Numbers in texts that are put in the place of others.
_NUMBERS = (b"0", b"-1", b"1e9", b"nan", b"inf", b"1000000000", b"9" * 400, b"65536", b"4611686018427387904", b"1.5", b"")


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _set(data: bytes, rng: random.Random) -> bytes:
    """A few bytes in a row that become all ones, all zeros or anything."""
    changed, size = bytearray(data), rng.choice([1, 2, 4, 8, 40])
    at = rng.randrange(len(changed))
    part = rng.choice([b"\xff", b"\x00", b"\x7f"]) * size if rng.randrange(3) else rng.randbytes(size)
    changed[at : at + size] = part
    return bytes(changed)


def _move(data: bytes, rng: random.Random) -> bytes:
    """A part doubled, lost, or in another place."""
    low, high = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    at = rng.randrange(len(data) + 1)
    return rng.choice([data[:low] + data[high:], data[:at] + data[low:high] + data[at:]])


def _number(data: bytes, rng: random.Random) -> bytes:
    """Another number in the place of one that is written out."""
    places = [at for at, byte in enumerate(data) if 48 <= byte < 58 and not (at and 48 <= data[at - 1] < 58)]
    if not places:
        return _flip(data, rng)
    at = end = rng.choice(places)
    while end < len(data) and 48 <= data[end] < 58:
        end += 1
    return data[:at] + rng.choice(_NUMBERS) + data[end:]


def _text(data: bytes, rng: random.Random) -> bytes:
    """Other encodings of a text, or something else altogether."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return rng.choice([b"", b"\0" * 100, b"PK\x03\x04", data[::-1]])
    return rng.choice([text.encode("utf-16"), text.encode("utf-8-sig"), b"\xff" + data, data.replace(b"\n", b"\r"),
                       data.replace(b",", b";"), b"", data + data, data.replace(b"\n", b"\0\n")])


def _member(data: bytes, rng: random.Random) -> bytes:
    """One damaged member of an archive that is whole otherwise."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {item.filename: archive.read(item) for item in archive.infolist()}
    except Exception:  # what is damaged already may break in any way
        return _move(data, rng)
    if not members:
        return _move(data, rng)
    name = rng.choice(sorted(members))
    members[name] = rng.choice([_cut, _flip, _set, _number])(members[name] or b"\0", rng)
    if rng.randrange(4) == 0:
        members[rng.choice(["x.npy", name + "2", "input_frac.npy"])] = members.pop(name)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
        for key, value in members.items():
            archive.writestr(key, value)
    return buffer.getvalue()


_DAMAGE = (_cut, _flip, _flip, _set, _set, _move, _number, _number, _text, _member)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """``data`` with one to three pieces of damage."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        data = rng.choice(_DAMAGE)(data or b"\0", rng)
    return data
