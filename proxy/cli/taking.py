"""Options that several commands share, said once: a command takes what they make.

`@taking(roster=roster)` gives a command the options of the function `roster` in place
of its own parameter of that name, and calls it with what that function returns.
Next: `proxy.cli.identity_options`, `proxy.cli.access`.
"""

from __future__ import annotations

from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Callable


def taking(
    **makers: Callable[..., object],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator for typer's commands.

    Args:
        makers: for each parameter that is no option itself, what makes it out of
            options. Their options stand behind the command's own.
    """
    options = {name: _parameters(maker) for name, maker in makers.items()}

    def around(command: Callable[..., None]) -> Callable[..., None]:
        own = [each for each in _parameters(command) if each.name not in makers]
        shared = [
            each.replace(kind=Parameter.KEYWORD_ONLY)
            for found in options.values()
            for each in found
        ]

        def run(**given: Any) -> None:  # noqa: ANN401 - whatever typer has read
            made = {
                name: maker(
                    **{each.name: given.pop(each.name) for each in options[name]}
                )
                for name, maker in makers.items()
            }
            command(**given, **made)

        run.__name__, run.__doc__ = command.__name__, command.__doc__
        run.__module__ = command.__module__
        every = [*own, *shared]
        run.__annotations__ = {each.name: each.annotation for each in every}
        # What typer reads instead of the source.
        run.__signature__ = Signature(every)  # type: ignore[attr-defined]
        return run

    return around


def _parameters(function: Callable[..., object]) -> list[Parameter]:
    hints = get_type_hints(function, include_extras=True)
    return [
        each.replace(annotation=hints[each.name])
        for each in signature(function).parameters.values()
    ]
