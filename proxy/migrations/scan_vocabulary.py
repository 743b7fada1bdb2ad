"""Words around a command: shells, runners, launchers, and what only says something.

Next: `proxy.migrations.scan_commands`, which asks these sets.
"""

from __future__ import annotations

from typing import Final

_SHELLS_WORDS: Final = """
    sh bash zsh dash ksh ash fish eval source xargs parallel ssh su
"""
SHELLS: Final = frozenset(_SHELLS_WORDS.split())
"""They run what they read or are given."""
_RUNNERS_WORDS: Final = """
    docker docker-compose podman kubectl oc heroku fly flyctl railway concurrently
    npm-run-all run-p run-s start-server-and-test cross-env-shell dotenv doppler op
    watch script vagrant ansible cmd powershell pwsh timeout sudo env system npx
    pnpx bunx alias trap nix-shell wait-on bat
"""
RUNNERS: Final = SHELLS | frozenset(_RUNNERS_WORDS.split())
"""They run a command that is given to them as one quoted word."""
LAUNCHERS: Final = RUNNERS | frozenset(
    [
        "npm",
        "pnpm",
        "yarn",
        "bun",
        "exec",
        "dlx",
        "run",
        "x",
        "--",
        "bundle",
        "bin",
        "python",
        "python2",
        "python3",
        "py",
        "uv",
        "poetry",
        "pipenv",
        "pdm",
        "hatch",
        "rye",
        "node",
        "deno",
        "tsx",
        "ts-node",
        "php",
        "composer",
        "command",
        "nohup",
        "nice",
        "time",
        "cross-env",
        "compose",
        "sail",
        "mise",
        "asdf",
        "direnv",
        "corepack",
        "make",
        "just",
        "task",
        "yarnpkg",
        "cargo",
        "go",
        "dotenvx",
        "infisical",
        "aws-vault",
        "chamber",
        "with",
        "wsl",
        "then",
        "do",
        "else",
    ]
)
"""What may stand before a command in a text that may be prose."""
_SAYS_WORDS: Final = """
    echo printf : grep egrep fgrep rg ag ack sed awk gawk logger test [ [[ cat head
    tail tee jq yq curl wget which type man help touch rm mkdir ls notify-send
    write-host write-output rem true false
"""
SAYS: Final = frozenset(_SAYS_WORDS.split())
"""They only say their words, or look for them, but for a pipe into a shell."""

_VALUE_OPTIONS_WORDS: Final = """
    -c --config --schema -n --name -e --env --environment -d --dir -x --settings
    --database --pythonpath --knexfile --cwd -p --path -path -database -source -u
    --url -dir --dataSource --dataSourcePath --changelog-file --changeLogFile
    --username --password --applied --rolled-back --project --prefix -C -w
    --workspace --filter -f --file --config-file --migrations-path --url --target
    --tag
"""
VALUE_OPTIONS: Final = frozenset(_VALUE_OPTIONS_WORDS.split())
"""Whose next word may be their value."""
