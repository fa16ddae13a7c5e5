"""Which files of the DAGs folder Airflow looks at when the demo was not wanted."""

from __future__ import annotations

import zipfile
from pathlib import Path


def without_demo(file_path: str, zip_file: zipfile.ZipFile | None = None) -> bool:
    """Tell whether a file may hold DAGs: as Airflow decides by default, except that the folder `demo` holds none."""
    if Path(file_path).parent.name == "demo":
        return False
    from airflow.utils.file import might_contain_dag_via_default_heuristic  # Airflow sets itself up on import

    return bool(might_contain_dag_via_default_heuristic(file_path=file_path, zip_file=zip_file))
