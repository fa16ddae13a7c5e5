"""What each route of the API server gives to whom. A route without a row fails tests/airflow/test_access.py."""

from __future__ import annotations

TASK = "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}"

GET: dict[tuple[int, int, int, int], tuple[str, ...]] = {
    # open: nothing in them is anybody's
    (200, 200, 200, 200): (
        "/api/v2/monitor/health",
        "/api/v2/version",
        "/auth/docs",
        "/auth/docs/oauth2-redirect",
        "/auth/openapi.json",
        "/auth/redoc",
        "/docs",
        "/docs/oauth2-redirect",
        "/execution/changelog",
        "/execution/docs",
        "/execution/docs/oauth2-redirect",
        "/execution/health",
        "/execution/health/ping",
        "/execution/redoc",
        "/openapi.json",
        "/redoc",
    ),
    (307, 307, 307, 307): ("/api/v2/auth/login",),
    # everybody who is signed in, filtered
    (401, 200, 200, 200): (
        "/api/v2/dagStats",
        "/api/v2/dagTags",
        "/api/v2/dagWarnings",
        "/api/v2/dags",
        "/ui/auth/me",
        "/ui/auth/menus",
        "/ui/config",
        "/ui/dags",
        "/ui/dashboard/dag_stats",
        "/ui/dashboard/historical_metrics_data",
        "/ui/dependencies",
    ),
    # the project's
    (401, 200, 200, 403): (
        "/api/v2/backfills",
        "/api/v2/dagSources/{dag_id}",
        "/api/v2/dags/{dag_id}",
        "/api/v2/dags/{dag_id}/dagRuns",
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}",
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/hitlDetails",
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances",
        TASK,
        TASK + "/dependencies",
        TASK + "/links",
        TASK + "/logs/{try_number}",
        TASK + "/state-store",
        TASK + "/tries",
        TASK + "/tries/{task_try_number}",
        TASK + "/xcomEntries",
        TASK + "/xcomEntries/{xcom_key:path}",
        TASK + "/{map_index}",
        TASK + "/{map_index}/dependencies",
        TASK + "/{map_index}/tries",
        TASK + "/{map_index}/tries/{task_try_number}",
        "/api/v2/dags/{dag_id}/dagVersions",
        "/api/v2/dags/{dag_id}/dagVersions/{version_number}",
        "/api/v2/dags/{dag_id}/details",
        "/api/v2/dags/{dag_id}/tasks",
        "/api/v2/dags/{dag_id}/tasks/{task_id}",
        "/api/v2/eventLogs/{event_log_id}",
        "/ui/backfills",
        "/ui/calendar/{dag_id}",
        "/ui/dags/{dag_id}/dagRuns/{dag_run_id}/deadlines",
        "/ui/dags/{dag_id}/dagRuns/{dag_run_id}/stats",
        "/ui/dags/{dag_id}/deadlineAlerts",
        "/ui/dags/{dag_id}/latest_run",
        "/ui/gantt/{dag_id}/{run_id}",
        "/ui/grid/runs/{dag_id}",
        "/ui/grid/structure/{dag_id}",
        "/ui/grid/ti_summaries/{dag_id}",
        "/ui/structure/structure_data",
    ),
    (401, 200, 200, 404): ("/api/v2/backfills/{backfill_id}",),
    # platform administrators only
    (401, 200, 403, 403): (
        "/api/v2/assets",
        "/api/v2/assets/aliases",
        "/api/v2/assets/events",
        "/api/v2/assets/{asset_id}",
        "/api/v2/assets/{asset_id}/queuedEvents",
        "/api/v2/assets/{asset_id}/state-store",
        "/api/v2/connections",
        "/api/v2/connections/{connection_id}",
        "/api/v2/dags/{dag_id}/assets/queuedEvents",
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/upstreamAssetEvents",
        "/api/v2/eventLogs",
        "/api/v2/importErrors",
        "/api/v2/jobs",
        "/api/v2/plugins",
        "/api/v2/plugins/importErrors",
        "/api/v2/pools",
        "/api/v2/pools/{pool_name:path}",
        "/api/v2/providers",
        "/api/v2/variables",
        "/api/v2/variables/{variable_key:path}",
        "/auth/fab/v1/permissions",
        "/auth/fab/v1/roles",
        "/auth/fab/v1/roles/{name}",
        "/auth/fab/v1/users",
        "/auth/fab/v1/users/{username}",
        "/ui/connections/hook_meta",
        "/ui/next_run_assets/{dag_id}",
        "/ui/partitioned_dag_runs",
    ),
    (401, 400, 400, 403): (TASK + "/externalLogUrl/{try_number}",),
    (401, 403, 403, 403): (
        "/api/v2/config",
        "/api/v2/config/section/{section}/option/{option}",
        "/ui/teams",
    ),
    (401, 404, 403, 403): (
        "/api/v2/assets/aliases/{asset_alias_id}",
        "/api/v2/assets/{asset_id}/state-store/{key:path}",
        "/api/v2/dags/{dag_id}/assets/{asset_id}/queuedEvents",
    ),
    (401, 404, 404, 403): (
        TASK + "/listMapped",
        TASK + "/state-store/{key:path}",
        TASK + "/{map_index}/hitlDetails",
        TASK + "/{map_index}/hitlDetails/tries/{try_number}",
    ),
    (401, 404, 404, 404): ("/integrator/console/{project}/{pipe}/{run_id}/{name}",),
    (401, 422, 403, 403): ("/ui/pending_partitioned_dag_run/{dag_id}",),
    (401, 422, 422, 403): ("/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/wait",),
    (401, 422, 422, 422): ("/api/v2/connections/enqueue-test",),
    (404, 404, 404, 404): (
        "/execution/openapi.json",
        "/health",
        "/integrator/console/links/{token}",
    ),
}
"""Status for who is not signed in, a platform administrator, every member of the project, and strangers: a member of another and nobody's."""

RUN: tuple[tuple[str, str], ...] = (
    ("PATCH", "/api/v2/dags/{dag_id}"),
    ("PATCH", "/api/v2/dags/{dag_id}/dagRuns"),
    ("PATCH", "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}"),
    ("PATCH", "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskGroupInstances/{group_id}"),
    ("PATCH", "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskGroupInstances/{group_id}/dry_run"),
    ("PATCH", "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances"),
    ("PATCH", TASK),
    ("PATCH", TASK + "/dry_run"),
    ("PATCH", TASK + "/state-store/{key:path}"),
    ("PATCH", TASK + "/{map_index}"),
    ("PATCH", TASK + "/{map_index}/dry_run"),
    ("PATCH", TASK + "/{map_index}/hitlDetails"),
    ("POST", "/api/v2/backfills"),
    ("POST", "/api/v2/backfills/dry_run"),
    ("POST", "/api/v2/dags/{dag_id}/clearDagRuns"),
    ("POST", "/api/v2/dags/{dag_id}/clearPartitions"),
    ("POST", "/api/v2/dags/{dag_id}/clearTaskInstances"),
    ("POST", "/api/v2/dags/{dag_id}/dagRuns"),
    ("POST", "/api/v2/dags/{dag_id}/dagRuns/list"),
    ("POST", "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/clear"),
    ("POST", "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/list"),
    ("POST", "/api/v2/dags/{dag_id}/favorite"),
    ("POST", "/api/v2/dags/{dag_id}/unfavorite"),
    ("PUT", "/api/v2/backfills/{backfill_id}/cancel"),
    ("PUT", "/api/v2/backfills/{backfill_id}/pause"),
    ("PUT", "/api/v2/backfills/{backfill_id}/unpause"),
    ("PUT", TASK + "/state-store/{key:path}"),
    ("PUT", "/api/v2/parseDagFile/{file_token}"),
)
"""Changes that every member of the project may make, and questions that are put by POST."""

TAKE_AWAY: tuple[tuple[str, str], ...] = (
    ("DELETE", "/api/v2/dags/{dag_id}"),
    ("DELETE", "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}"),
    ("DELETE", TASK),
    ("DELETE", TASK + "/state-store"),
    ("DELETE", TASK + "/state-store/{key:path}"),
)
"""Changes that owners and administrators of the project may make."""

PLATFORM_ONLY: tuple[tuple[str, str], ...] = (
    ("DELETE", "/api/v2/assets/{asset_id}/queuedEvents"),
    ("DELETE", "/api/v2/assets/{asset_id}/state-store"),
    ("DELETE", "/api/v2/assets/{asset_id}/state-store/{key:path}"),
    ("DELETE", "/api/v2/connections/{connection_id}"),
    ("DELETE", "/api/v2/dags/{dag_id}/assets/queuedEvents"),
    ("DELETE", "/api/v2/dags/{dag_id}/assets/{asset_id}/queuedEvents"),
    ("DELETE", TASK + "/xcomEntries/{xcom_key:path}"),
    ("DELETE", "/api/v2/pools/{pool_name:path}"),
    ("DELETE", "/api/v2/variables/{variable_key:path}"),
    ("DELETE", "/auth/fab/v1/roles/{name}"),
    ("DELETE", "/auth/fab/v1/users/{username}"),
    ("PATCH", "/api/v2/connections"),
    ("PATCH", "/api/v2/connections/{connection_id}"),
    ("PATCH", "/api/v2/dags"),
    ("PATCH", TASK + "/xcomEntries/{xcom_key:path}"),
    ("PATCH", "/api/v2/pools"),
    ("PATCH", "/api/v2/pools/{pool_name:path}"),
    ("PATCH", "/api/v2/variables"),
    ("PATCH", "/api/v2/variables/{variable_key:path}"),
    ("PATCH", "/auth/fab/v1/roles/{name}"),
    ("PATCH", "/auth/fab/v1/users/{username}"),
    ("POST", "/api/v2/assets/events"),
    ("POST", "/api/v2/assets/{asset_id}/materialize"),
    ("POST", "/api/v2/connections"),
    ("POST", "/api/v2/connections/defaults"),
    ("POST", "/api/v2/connections/enqueue-test"),
    ("POST", "/api/v2/connections/test"),
    ("POST", TASK + "/xcomEntries"),
    ("POST", "/api/v2/pools"),
    ("POST", "/api/v2/variables"),
    ("POST", "/auth/fab/v1/roles"),
    ("POST", "/auth/fab/v1/users"),
    ("PUT", "/api/v2/assets/{asset_id}/state-store/{key:path}"),
)
"""Changes that platform administrators alone may make."""
SKIPPED = {
    "/api/v2/auth/logout": "ends the session of who asks",
    "/auth/logout": "ends the session of who asks",
    "/api/v2/importErrors/{import_error_id}": "the DAG processor may have taken the row away; tested apart",
    "/api/v1/{_:path}": "answers 404 to everything",
    "/api/{_:path}": "answers 404 to everything",
    "/{rest_of_path:path}": "gives the page's own HTML, which is empty without the API",
}
OPEN_CHANGES = {("POST", "/auth/token"), ("POST", "/auth/token/cli"), ("POST", "/ui/auth/token")}
"""Signing in, and a token of one's own."""

TASKS = "/execution/"
"""What tasks ask: a token of a person's opens nothing of it."""
TASKS_OPEN = {
    "/execution/changelog", "/execution/docs", "/execution/docs/oauth2-redirect", "/execution/health", "/execution/health/ping",
    "/execution/openapi.json", "/execution/redoc",
}  # fmt: skip

FORMS_OPEN = {"/", "/back", "/login/", "/logout/", "/static/<path:filename>", "/static/appbuilder/<path:filename>",
              "/api/v1/security/login", "/api/v1/security/refresh"}  # fmt: skip
FORMS_OWN = {"/users/userinfo/", "/resetmypassword/form", "/userinfoeditview/form"}
"""Pages on one's own account."""

QUERY = {
    "/api/v2/backfills": {"dag_id": "demo.orders"},
    "/ui/backfills": {"dag_id": "demo.orders"},
    "/ui/structure/structure_data": {"dag_id": "demo.orders"},
    "/api/v2/dagStats": {"dag_ids": "demo.orders"},
    "/ui/dashboard/historical_metrics_data": {"start_date": "2020-01-01T00:00:00Z"},
}
_RUNS = {"dag_id": "demo.orders", "from_date": "2026-01-01T00:00:00Z", "to_date": "2026-01-02T00:00:00Z"}
BODY = {
    ("PATCH", "/api/v2/connections"): {
        "actions": [{"action": "create", "entities": [{"connection_id": "demo__new", "conn_type": "http"}]}]
    },
    ("PATCH", "/api/v2/variables"): {"actions": [{"action": "create", "entities": [{"key": "demo__new", "value": "1"}]}]},
    ("PATCH", "/api/v2/pools"): {"actions": [{"action": "create", "entities": [{"name": "demo__new", "slots": 1}]}]},
    ("PATCH", "/api/v2/dags/{dag_id}/dagRuns"): {"actions": [{"action": "delete", "entities": ["x"]}]},
    ("POST", "/api/v2/dags/{dag_id}/clearDagRuns"): {"dag_runs": [{"dag_run_id": "x"}]},
    ("POST", "/api/v2/connections/enqueue-test"): {"connection_id": "demo__crm", "conn_type": "integrator_bearer"},
    ("POST", "/api/v2/backfills"): _RUNS,
    ("POST", "/api/v2/backfills/dry_run"): _RUNS,
}
"""Where what is asked for stands in the body; the others are refused before theirs is read."""

_PROJECT = "/integrator/v1/projects/{project}"
_MEMBER = _PROJECT + "/members/{kind}/{member:path}"
_CREDENTIAL = _PROJECT + "/credentials/{credential}"
OURS: dict[tuple[str, str], tuple[int, int, int, int, int, int, int]] = {
    ("GET", "/integrator/v1/openapi.json"): (401, 200, 200, 200, 200, 200, 200),
    ("GET", "/integrator/v1/projects"): (401, 200, 200, 200, 200, 200, 200),
    ("POST", "/integrator/v1/projects"): (401, 409, 403, 403, 403, 403, 403),
    ("GET", _PROJECT): (401, 200, 200, 200, 200, 404, 404),
    ("PATCH", _PROJECT): (401, 200, 200, 200, 403, 404, 404),
    ("DELETE", _PROJECT): (401, 422, 422, 403, 403, 404, 404),
    ("POST", _PROJECT + "/transfer"): (401, 200, 200, 403, 403, 404, 404),
    ("GET", _PROJECT + "/members"): (401, 200, 200, 200, 200, 404, 404),
    ("PUT", _MEMBER): (401, 200, 200, 200, 403, 404, 404),
    ("DELETE", _MEMBER): (401, 204, 404, 404, 403, 404, 404),
    ("GET", _PROJECT + "/audit"): (401, 200, 200, 200, 403, 404, 404),
    ("GET", _PROJECT + "/credentials"): (401, 200, 200, 200, 200, 404, 404),
    ("POST", _PROJECT + "/credentials"): (401, 409, 409, 409, 409, 404, 404),
    ("GET", _CREDENTIAL): (401, 200, 200, 200, 200, 404, 404),
    ("PATCH", _CREDENTIAL): (401, 200, 200, 200, 200, 404, 404),
    ("POST", _CREDENTIAL + "/test"): (401, 200, 200, 200, 200, 404, 404),
    ("DELETE", _CREDENTIAL): (401, 204, 404, 404, 404, 404, 404),
    ("GET", "/integrator/v1/groups"): (401, 200, 403, 403, 403, 403, 403),
    ("POST", "/integrator/v1/groups"): (401, 409, 403, 403, 403, 403, 403),
    ("PUT", "/integrator/v1/groups/{group}/users/{user:path}"): (401, 204, 403, 403, 403, 403, 403),
    ("DELETE", "/integrator/v1/groups/{group}/users/{user:path}"): (401, 204, 403, 403, 403, 403, 403),
    ("DELETE", "/integrator/v1/groups/{group}"): (401, 200, 403, 403, 403, 403, 403),
    ("GET", "/integrator/v1/audit"): (401, 200, 403, 403, 403, 403, 403),
}
"""Our own API: status for who is not signed in, a platform administrator, owner, administrator, standard, a member of another project, nobody's."""
OUR_BODY = {
    ("POST", "/integrator/v1/projects"): {"name": "demo", "owner": "nora"},  # which has an owner
    ("POST", "/integrator/v1/groups"): {"name": "demo-team"},  # which is there
    ("POST", _PROJECT + "/credentials"): {
        "name": "tried",
        "scheme": "bearer",
        "base_url": "https://127.0.0.1:1",
    },  # which is there
    ("PATCH", _CREDENTIAL): {},
    ("PATCH", _PROJECT): {},
    ("POST", _PROJECT + "/transfer"): {"to": "olga"},  # whose it is
    ("PUT", _MEMBER): {"role": "standard"},
}
"""What changes nothing, or what the next row takes back; a project is not deleted without `?confirm`."""
