"""What a person sees while the platform starts: a spinner on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Progress:
    """Tells of one step at a time, and how long it took."""

    def __init__(self) -> None:
        """Write to standard output."""
        self.console = Console(highlight=False, soft_wrap=True)

    def say(self, text: str = "") -> None:
        """Write a line as it stands."""
        self.console.print(text, markup=False)

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show a step while its block runs."""
        begun, mark = time.monotonic(), "[red]✗[/red]"
        if not self.console.is_terminal:
            self.say(f"  {text} ...")
        try:
            with self.console.status(text):  # shows nothing where there is no terminal
                yield
            mark = "[green]✓[/green]"
        finally:
            self.console.print(f"{mark} {text} [dim]({time.monotonic() - begun:.0f} s)[/dim]")
