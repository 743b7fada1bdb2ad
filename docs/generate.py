"""Make the reference pages that are made from the code: `python -m docs.generate`.

`pages()` gives each page's text; tests/unit/test_docs.py compares them with the files.
What a key of a policy means stands in `docs.policy_words`, one of a tool profile in
`docs.profile_words`, a setting in `proxy.settings` and `proxy.settings_upstream`.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

import typer.main
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel

from docs import policy_words, profile_words
from proxy.addresses import Address
from proxy.cli.main import app
from proxy.doctor.checks_code import EXTENSIONS
from proxy.doctor.checks_roles import PREDEFINED
from proxy.doctor.findings import KINDS
from proxy.doctor.script import roles_script, writer_script
from proxy.exposition import reference_page
from proxy.migrations.profile_load import shipped_profiles
from proxy.migrations.scan_table import ANYWHERE, RULES, SETTINGS
from proxy.policy import model as policy
from proxy.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo

    Words = Mapping[type[BaseModel], Mapping[str, str]]

FOLDER = Path(__file__).parent / "reference"

_MADE = "This page is made by `make docs`; do not edit it.\n"


def pages() -> dict[str, str]:
    """Every generated page, by its file name in docs/reference."""
    return {
        "cli.md": cli_page(),
        "destructive-commands.md": commands_page(),
        "findings.md": findings_page(),
        "metrics.md": reference_page(),
        "policy.md": policy_page(),
        "settings.md": settings_page(),
        "tool-profiles.md": profile_page(),
    }


# --- the command line --------------------------------------------------------


def cli_page() -> str:
    """Every command with its arguments and options."""
    root: Any = typer.main.get_command(app)
    text = f"# Command line\n\n{_MADE}\n{root.help.strip()}\n\n"
    text += (
        "Exit status: 0 done (or allowed), 1 something failed (or was refused), 2 a "
        "mistake in what was asked or configured. What is wrong is one clear line on "
        "standard error.\n\n`--help` shows the same in the terminal; "
        "`pgwarden --install-completion` teaches the shell to complete.\n"
    )
    return text + "".join(_commands(root, "pgwarden", 2))


def _commands(group: Any, path: str, level: int) -> Iterator[str]:  # noqa: ANN401
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        full = f"{path} {name}"
        yield f"\n{'#' * level} {full}\n\n"
        if hasattr(command, "commands"):
            yield f"{command.help.strip()}\n"
            yield from _commands(command, full, level + 1)
            continue
        params = [each for each in command.params if not each.hidden]
        arguments = [each for each in params if each.param_type_name == "argument"]
        options = [each for each in params if each.param_type_name == "option"]
        words = "".join(f" {_argument_name(each)}" for each in arguments)
        yield f"```\n{full} [OPTIONS]{words}\n```\n\n{_paragraphs(command.help)}\n"
        if params:
            yield "\n| | | Default |\n| --- | --- | --- |\n"
        for each in arguments:
            yield _row(f"`{_argument_name(each)}`", _help(each), _default(each))
        for each in options:
            yield _row(f"`{_option_name(each)}`", _help(each), _default(each))


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(each.split()) for each in text.strip().split("\n\n"))


def _argument_name(param: Any) -> str:  # noqa: ANN401
    name = str(param.metavar or param.name.upper())
    name = name if param.required else f"[{name}]"
    return f"{name}..." if param.nargs < 0 else name


def _option_name(param: Any) -> str:  # noqa: ANN401
    names = ", ".join(param.opts)
    if param.is_flag:
        return names
    return f"{names} {param.metavar or param.name.upper()}"


def _help(param: Any) -> str:  # noqa: ANN401
    text = str(param.help or "")
    low, high = getattr(param, "min", None), getattr(param, "max", None)
    if low is not None and high is not None:
        text += f" From {low} to {high}."
    if param.multiple and "Repeatable" not in text:
        text += " Repeatable."
    if param.envvar:
        text += f" Also `{param.envvar}`."
    return text


def _default(param: Any) -> str:  # noqa: ANN401
    if isinstance(param.show_default, str):
        return param.show_default
    if param.required:
        return "required"
    if param.is_flag if hasattr(param, "is_flag") else False:
        return ""
    return f"`{param.default}`" if param.default not in {None, ""} else ""


# --- settings and policy -----------------------------------------------------

_SETTINGS_HEAD = f"""\
# Settings

{_MADE}
`pgwarden serve --config FILE` reads one YAML file. `PGWARDEN_*` variables are laid on top;
two underscores stand for the dot: `PGWARDEN_UPSTREAM__HOST=db2` is `upstream.host`. Their
values are read as YAML.

An unknown key, a duplicate key or a bad value is an error that names the line and the
nearest known key, and nothing starts. Relative paths start from the folder of the file. Secrets
are never settings: a login names the file or the variable that holds its password.
An example is [deploy/pgwarden.yaml](../../deploy/pgwarden.yaml).

**A role of Postgres for each identity**: a login whose `user` holds `{{identity}}` logs in as that role for each client, such as
`pgw_ana` for `pgw_{{identity}}`; the path of its password file, or its variable, may hold it too. Names of such identities consist of lower-case letters,
digits and `_ . @ + -`, and the role's name has at most 63 bytes. No two identities, and no identity and another login, may come in as the same role.
[Why, and how](../how-to/give-each-person-a-role.md).

**What a reload reads again** (SIGHUP, or a change of policy, identities, certificate, key, client CA or revocation list): these
six, the upstream's CA and the certificates of its logins. Passwords of its logins are
[read for each login](../how-to/connect-to-a-cluster-that-fails-over.md#passwords-that-change). Everything else on this page takes a
restart. `pgwarden serve --check --config FILE` tries a file without serving.
"""

_IDENTITIES = """
## The identities document

The file named by `identities`; an example is
[deploy/identities.yaml](../../deploy/identities.yaml).

| Key | | Meaning |
| --- | --- | --- |
| `version` | required | 1 |
| `identities[].name` | required | What the client gives as user; at most 63 bytes, each name once. |
| `identities[].role` | required | A role of the policy. |
| `identities[].secret` | this, `secrets`, `certificate` or `token` | SCRAM secret, made by `pgwarden identity secret` or copied from `pg_authid`. |
| `identities[].secrets` | | Two of them, while a password is being changed; both with the same salt and iterations, the newer one first. |
| `identities[].old_secret_until` | | Last moment at which the second of two secrets is right. |
| `identities[].sessions_since` | | A mark that `identity add` and `disable` set: another one ends the sessions from before, also where somebody was enabled again too soon to be noticed. |
| `identities[].certificate` | beside or instead of a secret | Whose client certificate is this identity's, where a login rule asks for one: one of `email`, `dns`, `uri`, `common_name`, `subject`, and `issuer`; see [policy documents](policy.md#certificate). |
| `identities[].token.issuer` | beside or instead of a secret | Where a rule of the policy takes tokens (`token`, `oauth`): whose tokens prove this identity, by the name under `issuers`. An identity may have a password too; the rules say which is asked for. |
| `identities[].token.claims` | `{}` | Claims that the token must have, each with a value or a list of values: `{repository: acme/shop, ref: [refs/heads/main, "refs/tags/v*"]}`. `*` stands for any characters; a claim that is a list (groups) fits by any of its items; numbers and booleans fit their text too. Needed where the issuer has no `identity_claim`, and at issuers that everybody can use (GitHub, GitLab, Google, Terraform Cloud) one of them must say whose account it is. |
| `identities[].valid_until` | | Last moment, with its time zone: `2027-03-31T18:00:00Z`. Open sessions end then. |
| `identities[].networks` | | Addresses it may come from: `[10.20.0.0/16, "2001:db8::/32"]`. Empty: any. |
| `identities[].disabled` | `false` | May not log in. Ends its open sessions too, as it does when an identity is removed or gets another role. |
"""


def settings_page() -> str:
    """Every setting with its default and reason."""
    return (
        _SETTINGS_HEAD
        + "".join(_sections(Settings, ""))
        + _IDENTITIES
        + "\n## Variables that are not settings\n\n"
        "`PGWARDEN_CONFIG` stands for `--config`, `PGWARDEN_AUDIT_FOLDER` for the folder of "
        "`pgwarden audit`. `PGWARDEN_COMPILE`, `PGWARDEN_DEMO_*`, `PGWARDEN_TEST_*` and `PGWARDEN_SECRET_*` are "
        "never read as settings: name a variable that holds a password `PGWARDEN_SECRET_...`, "
        "or without the prefix.\n"
    )


def _sections(model: type[BaseModel], path: str) -> Iterator[str]:
    inner: list[tuple[str, type[BaseModel]]] = []
    yield f"\n## {path or 'The top level'}\n\n"
    if path:
        yield f"{_first_sentence(model)}\n\n"
    yield "| Key | Default | Values | Meaning |\n| --- | --- | --- | --- |\n"
    for name, field in model.model_fields.items():
        section, suffix = _section_of(field.annotation)
        if section is None:
            yield _row(
                f"`{name}`", _default_of(field), _values_of(field), field.description
            )
        else:
            deeper = f"{path}.{name}{suffix}" if path else f"{name}{suffix}"
            inner.append((deeper, section))
            words = f"[Below](#{_anchor(deeper)})."
            text = f"{field.description} {words}" if field.description else words
            default = "required" if field.is_required() else "see below"
            if field.default is None and not field.is_required():
                default = "none"
            yield _row(f"`{name}`", default, "", text)
    for deeper, section in inner:
        yield from _sections(section, deeper)


def _section_of(annotation: Any) -> tuple[type[BaseModel] | None, str]:  # noqa: ANN401
    """The model of a nested section, and what to add to its name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (None, "") if annotation is Address else (annotation, "")
    arguments = [each for each in get_args(annotation) if each is not type(None)]
    if get_origin(annotation) is dict:
        return _section_of(arguments[1])[0], ".NAME"
    if get_origin(annotation) in {Union, types.UnionType} and len(arguments) == 1:
        return _section_of(arguments[0])
    return None, ""


def _default_of(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default: Any = field.get_default(call_default_factory=True)
    if default is None:
        return "none"
    if isinstance(default, tuple):
        return "`[" + ", ".join(f'"{each}"' for each in default) + "]`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _values_of(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{each}`" for each in get_args(field.annotation))
    if field.annotation is bool:
        return "`true`, `false`"
    words = []
    for bound in field.metadata:
        match bound:
            case Ge(low):
                words.append(f"at least {low:,}")
            case Gt(low):
                words.append(f"more than {low:,}")
            case Le(high) | Lt(high):
                words.append(f"at most {high:,}")
            case _:
                pass
    if words:
        return ", ".join(words)
    text = str(field.annotation)
    if "Address" in text:
        return "`host:port`"
    return "path" if "Path" in text else ""


def _keys(models: Mapping[type[BaseModel], str], words: Words) -> str:
    """A table of keys for each model."""
    text = ""
    for model, title in models.items():
        text += f"\n## {title}\n\n{_first_sentence(model)}\n\n"
        text += "| Key | Default | Meaning |\n| --- | --- | --- |\n"
        for name, field in model.model_fields.items():
            default = "required" if field.is_required() else _policy_default(field)
            text += _row(f"`{name}`", default, words[model][name])
    return text


def policy_page() -> str:
    """The schema of a policy document, key by key."""
    text = f"# Policy documents\n\n{_MADE}\n{policy_words.HEAD}"
    text += _keys(policy_words.MODELS, policy_words.KEYS)
    for title, words in policy_words.VOCABULARIES.items():
        text += f"\n## {title}\n\n| Word | Meaning |\n| --- | --- |\n"
        text += "".join(_row(f"`{word}`", meaning) for word, meaning in words.items())
    modes = ", ".join(f"`{mode}`" for mode in policy.LOCK_MODES)
    return text + f"\n## Words of `lock_modes`\n\n{modes}.\n" + policy_words.TAIL


def profile_page() -> str:
    """The schema of a tool profile, key by key, and the profiles that there are."""
    text = f"# Tool profiles\n\n{_MADE}\n{profile_words.HEAD}"
    text += _keys(profile_words.MODELS, profile_words.KEYS)
    text += "\n## Words of `means`\n\n| Word | Meaning |\n| --- | --- |\n"
    for word, meaning in profile_words.MEANS.items():
        text += _row(f"`{word}`", meaning)
    text += "\n## The shipped profiles\n\n"
    text += "| Tool | Versions | Known by | What is named when it is refused |\n"
    text += "| --- | --- | --- | --- |\n"
    for each in shipped_profiles():
        model = each.model
        commands = ", ".join(f"`{command.command}`" for command in model.commands)
        known = "recorded" if each.is_on else "sources only: off"
        versions = ", ".join(model.provenance.versions)
        text += _row(model.title, versions, known, commands)
    return text


def _policy_default(field: FieldInfo) -> str:
    default: Any = field.get_default(call_default_factory=True)
    if default in ("", [], {}, None) or isinstance(default, BaseModel):
        return ""
    shown = str(default).lower() if isinstance(default, bool) else default
    return f"`{shown}`".replace("'", '"')


# --- the doctor --------------------------------------------------------------

_FINDINGS_HEAD = f"""\
# Findings of the doctor

{_MADE}
What `pgwarden doctor` can find. How to use it is [check your roles](../how-to/check-your-roles.md).

How bad a finding is depends on the login: *reader* is the login of a role that the policy calls `read_only`, *writer* any other, a
migrator's for example. Of a reader any power to write is critical. A migrator owns tables, and must not be more than that. A login that a
read-only role shares with another is measured as a reader.

Only **critical** findings count for the exit status and for the [gate of `pgwarden serve`](../how-to/check-your-roles.md#the-gate).
The SQL comes with warnings and critical findings, is run by a superuser in the database that the finding names, and is meant to be read first. A note
has none: what it tells is expected.
"""

_FINDINGS_PROOF = """
## Looked up, and tried

| What | How |
| --- | --- |
| `lock-b` | Tried. In a session begun with pgwarden's own startup packet, `DELETE FROM pg_catalog.pg_am WHERE false` must be refused with 25006. It touches no row, and a catalog has no triggers. |
| `lock-c` | Tried, with read-only switched off in a transaction that is rolled back: the same statement must be refused with 42501, and so must `LOCK TABLE ... IN ROW EXCLUSIVE MODE NOWAIT`, which wants a privilege to write, on up to 20 tables. No code of the database's runs. Not on a standby, where nothing can be written. |
| `pooler`, `between` | Tried, with two connections at once: whose backend is it? |
| everything else | Looked up in the catalogs: access control lists, owners, memberships, whoever granted them. So a superuser's findings are also those that would remain if it were none. |

Not looked at: what a function does inside, rows that policies hide, other databases than the served ones.
"""


def findings_page() -> str:
    """Every finding of the doctor."""
    text = _FINDINGS_HEAD
    for title, of_server in (
        ("Of the login and the server", True),
        ("Of a database", False),
    ):
        text += f"\n## {title}\n\n| Finding | Reader | Writer | What it means | What mends it |\n"
        text += "| --- | --- | --- | --- | --- |\n"
        for kind, row in KINDS.items():
            if row.is_of_server is of_server:
                writer = "" if row.writer is None else row.writer.value
                text += _row(f"`{kind}`", row.reader.value, writer, row.means, row.mend)
    text += "\n## Predefined roles\n\nOther roles whose names begin with `pg_` are critical: they are not known to this version.\n\n"
    text += "| Role | Reader | Writer | Because it |\n| --- | --- | --- | --- |\n"
    for name, (reader, role_writer, why) in PREDEFINED.items():
        text += _row(f"`{name}`", reader.value, role_writer.value, why)
    text += (
        "\n## Extensions that are told\n\n| Extension | What it does |\n| --- | --- |\n"
    )
    text += "".join(_row(f"`{name}`", why) for name, why in EXTENSIONS.items())
    return text + _FINDINGS_PROOF


# --- commands that destroy ---------------------------------------------------

_COMMANDS_HEAD = f"""\
# Commands that destroy

{_MADE}
What `pgwarden migration scan` finds, see [check migrations in CI](../how-to/check-migrations-in-ci.md#find-commands-that-destroy). `*` stands for
any run of characters. Options may stand anywhere, and any wrapper before the tool.

| Rule | Commands | |
| --- | --- | --- |
"""


def commands_page() -> str:
    """Every command that a scan finds, by its rule."""
    rows: dict[str, tuple[list[str], str]] = {}
    for tool, rules in RULES.items():
        for each in rules:
            options = " or ".join(sorted(each.options, key=len))
            words = " ".join([tool, *each.words, *([options] if options else [])])
            rows.setdefault(each.said.rule, ([], each.said.message))[0].append(words)
    for option, said in ANYWHERE.items():
        rows.setdefault(said.rule, ([], said.message))[0].append(option)
    for pattern, said in SETTINGS:
        words = pattern.replace("?*", "...")
        rows.setdefault(said.rule, ([], said.message))[0].append(words)
    text = _COMMANDS_HEAD
    for rule, (commands, message) in sorted(rows.items()):
        listed = ", ".join(f"`{each}`" for each in dict.fromkeys(commands))
        text += _row(f"`{rule}`", listed, message)
    text += _row(
        "`psql-destroys`",
        "`psql -c ...`, and what psql is given to read in the same script",
        "DROP DATABASE, SCHEMA, TABLE or OWNED, TRUNCATE, DELETE without a WHERE",
    )
    return text


# --- shared ------------------------------------------------------------------


def _first_sentence(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split("\n\n")[0].split())


def _anchor(heading: str) -> str:
    """GitHub's anchor of a heading."""
    return "".join(c for c in heading.lower() if c.isalnum() or c in "-_ ").replace(
        " ", "-"
    )


def _row(*cells: str | None) -> str:
    plain = [(cell or "").replace("|", "\\|").replace("\n", " ") for cell in cells]
    return "| " + " | ".join(plain) + " |\n"


def main() -> None:
    """Write the pages, and the scripts that `doctor --fix-sql` prints."""
    deploy = FOLDER.parents[1] / "deploy"
    (deploy / "roles.sql").write_text(roles_script(), encoding="utf-8")
    (deploy / "writer.sql").write_text(writer_script(), encoding="utf-8")
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
