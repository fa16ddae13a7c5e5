"""`integrator schema`."""

from __future__ import annotations

import click


@click.command("schema")
def command() -> None:
    """Print the JSON schema of pipes, for completion in editors."""
    from integrator.authoring.schema import schema_text

    click.echo(schema_text(), nl=False)
