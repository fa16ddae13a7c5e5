"""`integrator`: the command line. Works without a running Airflow, and imports it only for a connection from its store.

Exit codes: 0 success or partial, 1 failed, 2 a faulty pipe or setting, 130 interrupted.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from integrator import __version__
from integrator.errors import AccessError, ConfigError, IntegratorError, PipeFaultsError

COMMANDS = {
    "init": "Make a project folder with a first pipe",
    "check": "Check pipes: every fault at once, with its line and cure",
    "plan": "Say what changes against another state of the pipes: DAGs, schedules, hosts, mappings",
    "schema": "Print the JSON schema of pipes, for editors",
    "preview": "Fetch and map, show what would be done; writes and keeps nothing",
    "trace": "Look at one record on both sides, and at its history; keeps nothing",
    "compare": "Say what is missing or different on the other side",
    "run": "Run a pipe",
    "rerun": "Run exactly the records that failed, or those that are due again",
    "expect": "Say which expectations of pipes are not met",
    "runs": "List runs",
    "failures": "List the records that failed",
    "cursor": "Show or set how far a flow has read",
    "credential": "Add, list, test, remove and authorize credentials",
    "console": "Switch a pipe's console log on and off; read and delete what was logged",
    "project": "Projects: their members and roles, and what they want: console logs, alerts, how long things are kept",
    "group": "Groups of Airflow's sign-in, which may have roles in projects",
    "audit": "Read, export and verify who did what",
    "purge": "Delete what the projects' plans no longer keep",
    "delete": "Delete what is kept of a project, a pipe or a run, by hand",
    "after-restore": "After a backup was restored: delete again what must not come back",
    "rotate-keys": "Encrypt credentials and tokens with a new key",
    "doctor": "Look at the installation, and say what is wrong with its cure",
    "prove-no-copy": "Prove that no record is kept: marked records, every failure, every place searched",
    "env": "Write the env file of a deployment, with fresh secrets",
}


class Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which one meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = import_module(f"integrator.commands.{cmd_name.replace('-', '_')}_command").command
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Say which command was meant when there is none of that name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from integrator.registry import near

            raise click.UsageError(f"no command {args[0]!r}; {near(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="integrator")
def cli() -> None:
    """Move records between business systems, and keep none of them."""


def main() -> None:
    """Run the command line and exit with its code."""
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as fault:
        fault.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except PipeFaultsError as faults:
        click.echo(str(faults), err=True)
        sys.exit(2)
    except (ConfigError, AccessError) as fault:
        click.echo(f"error: {fault}", err=True)
        sys.exit(2)
    except IntegratorError as fault:
        click.echo(f"error: {fault}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
