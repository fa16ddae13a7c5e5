"""`integrator init`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from integrator.errors import ConfigError
from integrator.model.names import NAME

STUB = """# An airflow dag for each pipe in this folder.
from integrator.dag_build import dags_of

globals().update(dags_of(__file__))
"""
BESIDE = {
    "faults.py": """# An airflow dag file that holds no dag: it raises one error that lists every faulty pipe, for platform administrators.
from integrator.dag_build import raise_faults

raise_faults(__file__)
""",
    "upkeep.py": """# The airflow dags of what the platform does by itself: automatic reruns and expectations, and what is no longer kept.
from integrator.dag_build import retention_dag, upkeep_dag

dag = upkeep_dag(__file__)
retention = retention_dag()
""",
    ".airflowignore": """# Pipes are read by the stub beside them; Airflow need not look at them.
*.yaml
*.yml
""",
}
"""Files of the dags folder itself; they are made once, and never written over."""
PIPE = """# yaml-language-server: $schema=../../include/pipe.schema.json
description: Orders of the shop become orders of the ERP
# schedule: "*/15 * * * *"      # left out: runs by hand and by calls
flows:
  orders:
    source:
      connector: rest
      credential: shop            # the connection {project}__shop
      path: /orders
      entity_id: id
      pages: {{by: page_number, per_page: 100}}
      by_id: {{path: "/orders/{{entity_id}}"}}     # how a failed record is read again
    map:
      external_no: id
      total: decimal(total, 2)
    destination:
      connector: rest
      credential: erp             # the connection {project}__erp
      path: /sales-orders
      match: {{params: {{external_no: "{{external_no}}"}}, id: id, found: update, missing: create}}
"""


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
def command(folder: Path) -> None:
    """Make a project folder with a stub and a first pipe, such as `integrator init dags/acme`."""
    project = folder.resolve().name
    if not re.fullmatch(NAME, project) or len(project) > 64:
        raise ConfigError(f"{project!r} is no project name: lower case letters, digits and single underscores, such as acme")
    files = {"load_pipes.py": STUB, "orders.yaml": PIPE.format(project=project)}
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise ConfigError(f"{folder / there[0]} is there already; nothing was changed")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, "utf-8")
        beside = [name for name in BESIDE if not (folder.parent / name).exists()]
        for name in beside:
            (folder.parent / name).write_text(BESIDE[name], "utf-8")
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written ({error.strerror})") from None
    variable = f"AIRFLOW_CONN_{project}__SHOP".upper()
    click.echo(f"made {folder}/load_pipes.py and {folder}/orders.yaml")
    if beside:
        click.echo(f"and, for Airflow, in {folder.parent}: {', '.join(beside)}")
    click.echo("next: edit orders.yaml, then")
    click.echo(f"  integrator check --dags {folder.parent}")
    click.echo(
        f"""  export {variable}='{{"conn_type": "integrator_bearer", "host": "https://shop.example.com", "extra": {{"token": "..."}}}}'"""
    )
    click.echo(f"  integrator preview {project}/orders --dags {folder.parent} --limit 5")
