"""What every page needs: the parts of the workbench, and who asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web

from waybill.core.labels import Taxonomy
from waybill.settings.schema import Settings
from waybill.web.auth import Door, User
from waybill.web.form_room import FormRoom
from waybill.web.store.database import Database

if TYPE_CHECKING:
    from waybill.web.collect import Collector
    from waybill.web.engine import Engine
    from waybill.web.jobs import Jobs
    from waybill.web.kept import Kept
    from waybill.web.metrics import BenchMetrics
    from waybill.web.model_trial import ModelTrials
    from waybill.web.rulebook import Rulebook
    from waybill.web.rulestats import RuleStatsReader
    from waybill.web.store.trends import Moves
    from waybill.web.templating import Templates
    from waybill.web.trials import Trials
    from waybill.web.ways import Travel


class Bench(NamedTuple):
    """The parts of a running workbench."""

    settings: Settings
    database: Database
    door: Door
    taxonomy: Taxonomy
    templates: Templates
    collector: Collector
    engine: Engine
    jobs: Jobs
    rulebook: Rulebook
    trials: Trials
    model_trials: ModelTrials
    travel: Travel
    hosts: frozenset[str]
    rule_stats: RuleStatsReader
    moves: Kept[Moves]
    #: Those of all labellings together.
    metrics: BenchMetrics
    #: The name of the labelling that it is for; empty for the first.
    labelling: str

    @property
    def base_path(self) -> str:
        """The prefix of all addresses."""
        return self.settings.workbench.base_path or ""


#: The workbench of each labelling by its name, the first one's (``""``) in front.
BENCHES: web.AppKey[Mapping[str, Bench]] = web.AppKey("benches")
#: The parameter that chooses a labelling.
TAX = "tax"
#: Handlers that need nobody to be logged in. They count, not the address: that can be written in
#: many ways.
OPEN_TO_ALL: web.AppKey[frozenset[object]] = web.AppKey("open_to_all")
#: What answers a form of somebody who is logged out.
LOGGED_OUT: web.AppKey[Callable[[web.Request], Awaitable[web.Response]]] = web.AppKey("logged_out")
#: What shows a refusal to somebody who looks at pages.
REFUSED: web.AppKey[Callable[[web.Request, int, str], Awaitable[web.Response]]] = web.AppKey(
    "refused"
)
#: Forms of those who are not logged in.
STRANGE_FORMS: web.AppKey[FormRoom] = web.AppKey("strange_forms")
#: Keys of a request: who asks, and the nonce of its page.
USER: web.RequestKey[User | None] = web.RequestKey("user")
NONCE: web.RequestKey[str] = web.RequestKey("nonce")
#: Whether its page holds the editor, which writes styles of its own.
HAS_EDITOR: web.RequestKey[bool] = web.RequestKey("has_editor")


def bench_of(request: web.Request) -> Bench:
    """The workbench of the labelling that a request is for."""
    return request.app[BENCHES][request.query.get(TAX, "")]


def user_of(request: web.Request) -> User:
    """Who asks; on pages that need nobody, a reader without a name."""
    user = request.get(USER)
    return user if user is not None else User("", "read")
