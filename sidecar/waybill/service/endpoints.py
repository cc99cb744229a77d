"""Everything that is served over HTTP, put together from what each endpoint needs."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from waybill.api import (
    corrections,
    csv,
    edition,
    explain,
    metrics,
    openapi,
    patterns,
    probes,
    reload,
    rules,
)
from waybill.api.answers import Questions
from waybill.core.records import Verdict
from waybill.core.version import VERSION
from waybill.flow.flow import Flow
from waybill.ingest.http import label, otlp
from waybill.ingest.http.bodies import BodyReader
from waybill.ingest.listener import Intake
from waybill.labelling.corrections.desk import Desk, Known
from waybill.labelling.pipeline import Pipeline
from waybill.labelling.rules.files import RuleFile
from waybill.labelling.rules.loading import compile_rules
from waybill.labelling.rules.ruleset import RuleSet
from waybill.ops.metrics import Metrics
from waybill.service.corrections import CorrectionsPart
from waybill.service.explaining import explain_all
from waybill.service.gauges import note_state
from waybill.service.loading import correction_source
from waybill.service.opening import Labelling, Opened
from waybill.service.patterns import Patterns
from waybill.service.reload import Reloader, part_name
from waybill.settings.labellings import added_fields, names_added
from waybill.settings.schema import Settings
from waybill.wire.members import Places

#: The largest body of ``/v1/explain`` and ``/v1/rules/test``.
_QUESTION_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Deps:
    """The parts of a service that endpoints are made from."""

    settings: Settings
    opened: Opened
    flow: Flow
    intake: Intake
    reloader: Reloader
    metrics: Metrics
    patterns: Patterns | None = None


def http_routes(deps: Deps) -> list[web.RouteDef]:
    """The routes of every endpoint."""
    settings = deps.settings
    intake = deps.intake
    reader = BodyReader(intake.body_bytes, settings.http.read_timeout_secs, intake.dead_letters)
    # What people and scripts ask is small; parsed, it takes up to 20 times its bytes.
    question_bytes = min(_QUESTION_BYTES, intake.body_bytes)
    asking = BodyReader(
        question_bytes, settings.http.read_timeout_secs, limit_name="what this endpoint takes"
    )
    has_return = settings.return_.type != "body"
    return [
        *label.routes(
            intake, reader, count_unread=None if has_return else deps.metrics.answers_unread.inc
        ),
        *otlp.routes(intake, reader, has_return=has_return),
        *_tools(deps, Questions(intake.hold, asking)),
    ]


def _tools(deps: Deps, questions: Questions) -> list[web.RouteDef]:
    """The endpoints for probes, people and scripts; none touches a record on its way."""
    labellings = deps.opened.labellings
    report = deps.reloader.report
    return [
        *probes.routes(report, lambda: deps.flow.is_draining),
        *reload.routes(deps.reloader.reload, report),
        *metrics.routes(
            deps.metrics, functools.partial(note_state, labellings, deps.metrics, deps.patterns)
        ),
        *openapi.routes(deps.settings.workbench.url),
        *_pattern_routes(deps),
        *explain.routes(
            questions,
            Places(deps.settings.fields),
            functools.partial(explain_all, labellings),
        ),
        *rules.routes(questions, _rule_backends(deps)),
        *_correction_routes(deps, questions),
        *_csv_routes(deps),
    ]


def _rule_backends(deps: Deps) -> dict[str, rules.Backend]:
    """What the endpoints of rules need of each labelling, by name."""
    reserved = names_added(added_fields(deps.settings))
    backends: dict[str, rules.Backend] = {}
    for labelling in deps.opened.labellings:
        backends[labelling.name] = _rule_backend(labelling.pipeline, reserved)
    return backends


def _rule_backend(pipeline: Pipeline, reserved: Sequence[str]) -> rules.Backend:
    return rules.Backend(
        in_force=lambda: pipeline.rules,
        compile_text=functools.partial(_compile_trial, pipeline, reserved),
    )


def _csv_routes(deps: Deps) -> list[web.RouteDef]:
    """Tables that people send; their rows count like records."""
    labeller = deps.opened.labeller

    def count(verdicts: Sequence[Verdict]) -> None:
        given = Counter(verdicts)
        labeller.counted(given)
        deps.metrics.count_verdicts(given, labeller.taxonomy.fallback, labeller.names)

    return csv.routes(
        csv.Backend(
            fields=added_fields(deps.settings),
            row_bytes=deps.intake.body_bytes,
            read_secs=deps.settings.http.read_timeout_secs,
            label=labeller.label,
            count=count,
            hold=deps.intake.hold,
        )
    )


def _pattern_routes(deps: Deps) -> list[web.RouteDef]:
    if deps.patterns is None:
        return []
    return patterns.routes(deps.patterns.nodes, deps.settings.patterns.unsure_below)


def _correction_routes(deps: Deps, questions: Questions) -> list[web.RouteDef]:
    return [
        *corrections.routes(questions, _correction_backends(deps)),
        *edition.routes(functools.partial(describe_edition, deps)),
    ]


def _correction_backends(deps: Deps) -> dict[str, corrections.Backend]:
    """What the endpoint of corrections needs of each labelling, by name."""
    backends: dict[str, corrections.Backend] = {}
    for labelling in deps.opened.labellings:
        backends[labelling.name] = correction_backend(deps, labelling.name, labelling.pipeline)
    return backends


def correction_backend(deps: Deps, name: str, pipeline: Pipeline) -> corrections.Backend:
    """The backend of the labelling ``name``; without a path it says what to set."""
    settings = deps.settings.corrections
    part = deps.reloader.find(part_name(name, "corrections"), CorrectionsPart)
    source = part.source if part is not None else correction_source(deps.settings, name)
    desk = Desk(
        pipeline.taxonomy,
        source,
        Path(settings.path) if settings.path is not None else None,
        lambda: pipeline.rules,
        labelling=name,
        follows=settings.follow,
        known=_examples_of(deps.patterns, name),
        in_force=lambda: pipeline.corrections,
    )

    async def reload() -> None:
        if part is not None:
            await part.catch_up()

    return corrections.Backend(
        desk=desk,
        source=source,
        reload=reload,
        in_force=lambda: pipeline.corrections,
        refused=lambda: part.state.problems if part is not None else [],
        count=lambda outcome: deps.metrics.corrections_posted.labels(outcome).inc(),
    )


def _examples_of(patterns: Patterns | None, labelling: str) -> Known | None:
    if patterns is None:
        return None
    return patterns.by_labelling[labelling].examples_of


def describe_edition(deps: Deps) -> dict[str, object]:
    """What is in force: the version of Waybill and of the labels, and the state of each part.

    Further labellings have theirs by name under ``labellings``.
    """
    first, *further = deps.opened.labellings
    described = {"waybill": VERSION, **_edition_of(deps, first)}
    if further:
        described["labellings"] = {one.name: _edition_of(deps, one) for one in further}
    return described


def _edition_of(deps: Deps, labelling: Labelling) -> dict[str, object]:
    taxonomy = labelling.pipeline.taxonomy
    described: dict[str, object] = {
        "labels": {"version": taxonomy.version, "labels": list(taxonomy.names)},
    }
    for name in ("corrections", "rules", "model", "llm"):
        part = deps.reloader.parts.get(part_name(labelling.name, name))
        described[name] = part.edition() if part is not None else None
    return described


async def _compile_trial(pipeline: Pipeline, reserved: Sequence[str], text: str) -> RuleSet:
    """Rules of YAML text that is in no file. Raises RuleSetError."""
    labels = pipeline.taxonomy.names
    trial = RuleFile("trial.yaml", text.encode("utf-8", "replace"))
    return await compile_rules([trial], labels=labels, cpu_secs=rules.TRIAL_SECS, reserved=reserved)
