"""What FFmpeg can do, as it was found or asked once more."""

from __future__ import annotations

from penstock.control.jobs import JobControl

from .answers import Answer, as_json
from .requests import Request
from .site import Route
from .skills_shapes import as_skills

__all__ = ["skills_routes"]


def skills_routes(jobs: JobControl) -> list[Route]:
    """Return the two routes of the skills."""

    async def show(request: Request) -> Answer:
        return as_json(as_skills(await jobs.skills()))

    async def show_again(request: Request) -> Answer:
        return as_json(as_skills(await jobs.skills(again=True)))

    return [
        Route("GET", "/api/v3/skills", show),
        Route("GET", "/api/v3/skills/reload", show_again),
    ]
