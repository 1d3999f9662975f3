"""No code path sends an order's POST a second time (S3; reliability.md 6: "POST never")."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "polybot"
# The exchange receives orders, and the laboratory plays other people's programs.
OTHERS = ("exchange", "lab")
LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.comprehension)
ORDER_PATHS = {"/order", "/orders"}

Found = tuple[str, str, bool]  # file, function around it, whether a loop is around it


def trees() -> dict[str, ast.Module]:
    files = [path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] not in OTHERS]
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in files
    }


def places_orders(node: ast.AST) -> bool:
    """Whether this is a call of `….client.place(…)` or `client.place(…)`."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "place"
        and ast.unparse(node.func.value).endswith("client")
    )


def posts_orders(node: ast.AST) -> bool:
    """Whether this is a call with POST and an order path among its arguments."""
    if not isinstance(node, ast.Call):
        return False
    texts = {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return "POST" in texts and bool(ORDER_PATHS & texts)


def walk(
    node: ast.AST, function: str = "", *, loop: bool = False
) -> Iterator[tuple[ast.AST, str, bool]]:
    """Every node with the function it is in, and whether a loop of that function is around it."""
    yield node, function, loop
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from walk(child, child.name)
        else:
            yield from walk(child, function, loop=loop or isinstance(child, LOOPS))


def found(kind: str) -> list[Found]:
    wanted = {"place": places_orders, "post": posts_orders}[kind]
    return [
        (name, function, loop)
        for name, tree in trees().items()
        for node, function, loop in walk(tree)
        if wanted(node)
    ]


# The one order of the dead-man switch's certification, and the one of `doctor --order`.
SINGLE = {"certify.py", "operator/check_order.py"}


def test_orders_leave_through_one_call() -> None:
    """One call in the orders task, which journals its intents first; beside it the two places where
    an operator has one far order placed. None has a loop around it.
    """
    calls = found("place")

    assert not any(loop for _, _, loop in calls)
    assert {name for name, _, _ in calls} == {"orders_task.py"} | SINGLE
    assert [call for call in calls if call[0] == "orders_task.py"] == [
        ("orders_task.py", "_post", False)
    ]
    assert len(calls) == 3


def test_one_function_posts_orders_and_without_a_loop() -> None:
    """The client's `place` writes one request, of one order or of several; nobody else does."""
    assert found("post") == [("venue/clob.py", "place", False)] * 2


def test_no_transport_repeats_a_request() -> None:
    """Neither the HTTP client nor a decorator is told to try again."""
    for name, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword):
                assert node.arg not in ("retries", "max_retries"), name
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                words = [ast.unparse(decorator).lower() for decorator in node.decorator_list]
                assert not any("retry" in word or "backoff" in word for word in words), name


@pytest.mark.parametrize(
    "text",
    [
        "async def f(client):\n    for _ in range(3):\n        await client.place(())",
        "async def f(c):\n    while True:\n        await c.rest.call('POST', '/order', body=b'')",
    ],
)
def test_a_loop_around_a_post_is_seen(text: str) -> None:
    """What these tests look for is found where it is."""
    hits = [
        loop for node, _, loop in walk(ast.parse(text)) if places_orders(node) or posts_orders(node)
    ]

    assert hits == [True]
