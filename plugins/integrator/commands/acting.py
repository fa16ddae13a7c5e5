"""Who acts on the command line, from where, and where that is noted."""

from __future__ import annotations

import getpass
import os
import platform
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from integrator.actions.acting import Acting
    from integrator.store.audit import SqlAudit
    from integrator.wiring import Parts


def actor() -> str:
    """Return who acts on the command line."""
    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError):
        return f"cli:{os.getuid()}"  # a container's user without a name


def origin() -> str:
    """Return from where: this machine, and whence its user is signed in to it."""
    remote = os.environ.get("SSH_CONNECTION", "").split(" ")[0]
    return f"{platform.node()} from {remote}" if remote else platform.node()


def audit_of(parts: Parts) -> SqlAudit:
    """Return the installation's audit."""
    from integrator.store.audit import SqlAudit, heads_file
    from integrator.store.database import open_engine

    settings = parts.settings
    return SqlAudit(open_engine(settings.database_url), parts.hash_key, heads_file(settings.audit_log, settings.home), logs=False)


def acting_in(parts: Parts) -> Acting:
    """Return the user of this command line, whose doings are noted."""
    from integrator.actions.acting import Acting

    return Acting(actor(), origin(), audit_of(parts))
