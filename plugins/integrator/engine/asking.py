"""The pages that a run was asked for: failures to try again, a few records by ID, or what is new and what waits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, field

from integrator.authoring.planning import FlowPlan
from integrator.connectors.entity import reader
from integrator.engine.combining import Combining
from integrator.engine.edge import Edge
from integrator.engine.hashed_ids import HashedJournal, Hasher, found_in_list
from integrator.engine.parts import as_known
from integrator.engine.ports import Journal, Source
from integrator.engine.settling import Settling
from integrator.engine.windows import everything, in_windows
from integrator.errors import ConfigError
from integrator.model.record import Page
from integrator.model.run import OpenedFlowRun, Selection

CLAIM = 500  # failures leased at a time
HASHES = 100_000  # hashes that are looked for in one reading of the list
WAITING = Selection(waiting=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run was asked to do, beside moving what is new."""

    full: bool = False
    since: str | None = None
    entity_ids: tuple[str, ...] | None = field(default=None, repr=False)
    selection: Selection | None = None
    last_try: bool = True
    """Whether nobody will try again after a TryAgainError; if somebody will, the flow run is left unfinished for them."""
    later_s: float = 0.0
    """Longest wait of a LaterError after which somebody takes the flow run up again, at the last try too."""

    @property
    def named(self) -> bool:
        """Whether a person has asked for these records, and not the flow's policy of automatic reruns."""
        return self.few and (self.selection is None or self.selection.due is None)

    @property
    def few(self) -> bool:
        """Whether single records are asked for, so that neither the cursor nor other runs' marks are touched."""
        return self.selection is not None or self.entity_ids is not None


class Asking:
    """Where the pages of one flow run come from."""

    def __init__(
        self,
        plan: FlowPlan,
        source: Source,
        journal: Journal,
        settling: Settling,
        opened: OpenedFlowRun,
        owner: str,
        edge: Edge | None,
    ) -> None:
        self._plan, self._source, self._journal, self._settling = plan, source, journal, settling
        self._opened, self._owner, self._edge = opened, owner, edge
        self._identify = reader(plan.entity_id)
        self._combining = Combining(plan.combine, source, plan.spec.source.entity_id, edge) if plan.combine is not None else None

    async def pages(self, asked: Asked) -> AsyncGenerator[Page]:
        """Yield the pages."""
        if asked.selection is not None:
            async for page in self._claimed(asked.selection):
                yield page
        elif asked.entity_ids is not None:
            async for page in self._by_ids(list(dict.fromkeys(asked.entity_ids))):
                yield page
        else:
            rows = self._listed()
            async for page in rows if self._combining is None else self._combining.combined(rows):
                yield page
            if self._plan.steps.waits:
                # What this run has done with a record that waits must be noted before it is taken once more.
                await self._settling.drained()
                await self._settling.note()
                async for page in self._claimed(WAITING):
                    yield page

    async def _listed(self) -> AsyncIterator[Page]:
        plan, edge = self._plan, self._edge
        # Without a repeatable write, the next run must know every record at the cursor's edge, so all are read again.
        start = self._opened.checkpoint if (plan.repeat_safe or edge is None) and self._combining is None else None
        spec = plan.spec.source.delta
        begin = edge.begin() if edge is not None else None
        if edge is None or spec is None or spec.window is None:
            pages = self._source.pages(edge.bound() if edge is not None else None, start)
        elif begin is None:
            raise ConfigError("a flow with since.window needs a time to begin at: since.start, or --from")
        else:
            pages = in_windows(self._source, spec, begin, start)
        async for page in pages:
            yield page

    async def _claimed(self, selection: Selection) -> AsyncIterator[Page]:
        if isinstance(self._journal, HashedJournal):
            async for page in self._claimed_by_hash(selection, self._journal.hasher):
                yield await self._still_wanted(page)
            return
        while ids := await self._settling.in_thread(self._claim, selection):
            async for page in self._by_ids(ids):
                yield await self._still_wanted(page)

    async def _claimed_by_hash(self, selection: Selection, hasher: Hasher) -> AsyncIterator[Page]:
        """Claim many at a time, since each time the whole list is read for them."""
        while True:
            wanted: set[str] = set()
            while len(wanted) < HASHES and (ids := await self._settling.in_thread(self._claim, selection)):
                wanted.update(ids)
            if not wanted:
                return
            pages = everything(self._source, self._plan.spec.source.delta)
            async for page in found_in_list(pages, wanted, hasher, self._identify):
                yield page

    def _claim(self, selection: Selection) -> list[str]:
        plan = self._plan
        return self._journal.claim(plan.key, self._opened.flow_run_id, self._owner, selection, CLAIM, repeatable=plan.rerun_safe)

    async def _by_ids(self, entity_ids: Sequence[str]) -> AsyncIterator[Page]:
        async for page in self._source.by_ids(entity_ids) if self._combining is None else self._combining.by_keys(entity_ids):
            yield page

    async def _still_wanted(self, page: Page) -> Page:
        """Leave out records that another run has written since they were claimed: theirs is the newer state."""
        ids = [self._identify(record) for record in page.records]
        asked = [*ids, *page.broken]
        held = await self._settling.in_thread(self._journal.still_claimed, self._opened.flow_run_id, asked)
        page.broken = {one: as_known(error, held.get(one)) for one, error in page.broken.items()}  # type: ignore[arg-type,misc]
        wanted = [one in held for one in ids]
        page.records = [record for record, keep in zip(page.records, wanted, strict=True) if keep]
        if page.sizes is not None:
            page.sizes = [size for size, keep in zip(page.sizes, wanted, strict=True) if keep]
        page.held = held
        for one, keep in zip(ids, wanted, strict=True):
            if not keep:
                self._settling.skip(one)
        return page
