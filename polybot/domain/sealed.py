"""Values that are made for every decision, twenty times a second and more: nobody changes one once
it is made.

The type checker holds us to that. At run time they are plain classes with slots, because a class
that is frozen at run time sets its fields one call at a time: of twenty-four that took three
microseconds, a fifth of what a whole decision may take. They have no hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attrs import frozen as sealed
else:
    from attrs import define as sealed

__all__ = ["sealed"]
