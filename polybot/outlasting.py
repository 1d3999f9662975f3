"""Tasks that outlive those beside them: whatever cancels these, they go on to the end of a body."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import trio


@attrs.define(eq=False)
class Outlasting:
    """A context: when its body is left they are cancelled, and no sooner."""

    _scopes: list[trio.CancelScope] = attrs.field(factory=list)

    def start(self, nursery: trio.Nursery, run: Callable[[], Awaitable[None]], name: str) -> None:
        """Run it in this nursery, which does not end before the body does."""
        scope = trio.CancelScope(shield=True)
        self._scopes.append(scope)
        nursery.start_soon(_run, scope, run, name=name)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        for scope in self._scopes:
            scope.cancel()


async def _run(scope: trio.CancelScope, run: Callable[[], Awaitable[None]]) -> None:
    with scope:
        await run()
