"""The API, /integrator/v1: one file per noun, each a translation between HTTP and actions."""

from __future__ import annotations

from fastapi import APIRouter

from integrator.web.api import audit, credentials, document, groups, members, projects

API: tuple[APIRouter, ...] = (projects.router, members.router, credentials.router, groups.router, audit.router, document.router)
