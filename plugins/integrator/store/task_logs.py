"""Deletes the files of task logs that belong to our DAGs, as Airflow lays them out unless told otherwise: `dag_id=.../run_id=.../`."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from integrator.errors import StopRunError


class TaskLogs:
    """Airflow's folder of logs on this machine, or on a volume that all machines share.

    Args:
        folder: [logging] base_log_folder.
    """

    def __init__(self, folder: Path, *, dry: bool = False) -> None:
        self._folder, self._dry = folder, dry

    def purge(
        self, dag_ids: Iterable[str], before: datetime, going: Iterable[tuple[str, str]] = (), run_id: str | None = None
    ) -> int:
        """Delete logs of runs that were last written before that; returns how many files.

        Args:
            going: runs that are not over, by DAG and run, whose logs stay.
            run_id: only of this run.

        Raises:
            StopRunError: the file system refuses.
        """
        stays, count = set(going), 0
        try:
            for dag_id in dag_ids:
                of_dag = self._folder / f"dag_id={dag_id}"
                for of_run in _folders(of_dag):
                    name = of_run.name.removeprefix("run_id=")
                    if (dag_id, name) in stays or run_id not in (None, name):
                        continue
                    files = [one for one in of_run.rglob("*") if one.is_file()]
                    newest = max((one.stat().st_mtime for one in files), default=0.0)
                    if datetime.fromtimestamp(newest, UTC) < before:
                        count += len(files)
                        self._remove(of_run)
                if not self._dry and of_dag.is_dir() and not any(of_dag.iterdir()):
                    of_dag.rmdir()
        except OSError as error:
            raise StopRunError(f"task logs in {self._folder} cannot be deleted: {error.strerror}") from None
        return count

    def _remove(self, folder: Path) -> None:
        if not self._dry:
            shutil.rmtree(folder)


def _folders(of_dag: Path) -> Iterator[Path]:
    if of_dag.is_dir() and not of_dag.is_symlink():
        for one in sorted(of_dag.iterdir()):
            if one.is_dir() and not one.is_symlink() and one.name.startswith("run_id="):
                yield one
