"""Whether the path of every statement runs compiled, and from the sources that stand.

`hatch_build.py` compiles it and notes which sources it took. In a checkout a source may
have changed since: what ran then would not be what is read. Imports only errors.
"""

from __future__ import annotations

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

from proxy.errors import ConfigError

_ROOT: Final = Path(__file__).resolve().parents[1]
_NOTE: Final = Path(__file__).with_name("compiled.json")


def is_compiled() -> bool:
    """Whether the session's modules are those that a compiler made."""
    found = find_spec("proxy.session.session")  # not imported: most commands need none
    return found is not None and not str(found.origin).endswith(".py")


def check_compiled(note: Path = _NOTE, root: Path = _ROOT) -> None:
    """Make sure that what runs is what the sources say; half a millisecond.

    Raises:
        ConfigError: a source has changed since it was compiled.
    """
    if not note.is_file():
        return  # interpreted, or installed from a wheel, which has no such note
    noted = msgspec.json.decode(note.read_bytes(), type=dict[str, str])
    for name, digest in noted.items():
        source = root / name
        if source.is_file() and sha256(source.read_bytes()).hexdigest() != digest:
            raise ConfigError(
                f'"{name}" has changed since it was compiled',
                hint="run `make setup`, or run the sources as they stand: "
                "PGWARDEN_COMPILE=never make setup",
            )
