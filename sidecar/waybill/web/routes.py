"""Every address of the workbench."""

from __future__ import annotations

from aiohttp import web

from waybill.web.views import (
    bulk,
    changes,
    corrections,
    drafts,
    entry,
    following,
    metrics,
    models,
    overview,
    pattern,
    patterns,
    places,
    refused,
    review,
    rule_list,
    rules,
    search,
    table_forms,
    tables,
    trial,
)
from waybill.web.views import try_lines as lines

_ID = "{id:[0-9a-f]{16}}"
_NUMBER = "{number:[0-9]{1,9}}"
_JOB = "{job:[0-9a-f]{16}}"


def routes(base: str) -> list[web.RouteDef]:
    """The table, below the prefix ``base``."""
    return [*_reading(base), *_rules(base), *_tables(base), *_entry(base)]


def _reading(base: str) -> list[web.RouteDef]:
    """What sidecars say, and what people say about it."""
    return [
        web.get(f"{base}/", overview.show),
        web.get(f"{base}/patterns", patterns.show),
        web.get(f"{base}/patterns.json", patterns.as_json),
        web.get(f"{base}/patterns.csv", patterns.as_csv),
        web.get(f"{base}/-/patterns/live", patterns.live),
        web.post(f"{base}/patterns/bulk", bulk.correct),
        web.post(f"{base}/patterns/undo", bulk.undo),
        web.get(f"{base}/patterns/{_ID}", pattern.show),
        web.post(f"{base}/patterns/{_ID}/correct", pattern.correct),
        web.get(f"{base}/-/patterns/{_ID}/why", pattern.why_part),
        web.get(f"{base}/p/{_ID}", pattern.short),
        web.get(f"{base}/find", lines.find),
        web.get(f"{base}/-/search", search.search),
        web.get(f"{base}/review", review.show),
        web.post(f"{base}/review/answer", review.answer),
        web.post(f"{base}/review/undo", review.undo),
        web.get(f"{base}/corrections", corrections.show),
        web.get(f"{base}/corrections.ndjson", corrections.download),
        web.post(f"{base}/corrections/{_ID}/withdraw", pattern.withdraw),
        web.post(f"{base}/corrections/withdraw", corrections.withdraw),
        web.post(f"{base}/corrections/apply", changes.apply_corrections),
        web.get(f"{base}/v1/corrections", following.corrections),
        web.get(f"{base}/v1/rule-files", following.rule_files),
        web.get(f"{base}/sources", places.sources),
        web.get(f"{base}/nodes", places.nodes),
        web.post(f"{base}/nodes/ask", places.ask_again),
    ]


def _rules(base: str) -> list[web.RouteDef]:
    """Rules and models."""
    return [
        web.get(f"{base}/rules", rule_list.show),
        web.post(f"{base}/drafts", drafts.save),
        web.get(f"{base}/drafts/{_NUMBER}", drafts.show),
        web.post(f"{base}/drafts/{_NUMBER}/viewed", drafts.viewed),
        web.post(f"{base}/drafts/{_NUMBER}/discard", drafts.discard),
        web.get(f"{base}/rules/edit", rules.edit),
        web.post(f"{base}/rules/edit", rules.attempt),
        web.post(f"{base}/rules/check", rules.check),
        web.get(f"{base}/-/trials/{{key:[0-9a-z.-]{{1,80}}}}", trial.show),
        web.get(f"{base}/changes", changes.show),
        web.get(f"{base}/changes/{_NUMBER}", changes.change),
        web.get(f"{base}/changes/{_NUMBER}.patch", changes.download),
        web.post(f"{base}/changes/{_NUMBER}/undo", changes.undo),
        web.get(f"{base}/models", models.show),
        web.get(f"{base}/models/compare", models.compare),
        web.post(f"{base}/models/promote", models.bring),
        web.get(f"{base}/models/setting.yaml", models.patch),
    ]


def _tables(base: str) -> list[web.RouteDef]:
    """Files and single lines."""
    return [
        web.get(f"{base}/csv", tables.show),
        web.post(f"{base}/csv", tables.upload),
        web.get(f"{base}/csv/{_JOB}", tables.job),
        web.get(f"{base}/-/csv/{_JOB}/check", tables.checked),
        web.post(f"{base}/csv/{_JOB}/options", table_forms.choose),
        web.post(f"{base}/csv/{_JOB}/run", table_forms.run),
        web.post(f"{base}/csv/{_JOB}/cancel", table_forms.cancel),
        web.post(f"{base}/csv/{_JOB}/delete", table_forms.delete),
        web.get(f"{base}/csv/{_JOB}/result", table_forms.result),
        web.get(f"{base}/csv/{_JOB}/patterns/{{id:[0-9a-f]{{16}}}}", table_forms.pattern),
        web.post(f"{base}/csv/{_JOB}/patterns/{{id:[0-9a-f]{{16}}}}", table_forms.correct),
        web.get(f"{base}/csv/{_JOB}.json", tables.state),
        web.get(f"{base}/try", lines.show),
        web.post(f"{base}/try", lines.label),
    ]


def _entry(base: str) -> list[web.RouteDef]:
    """What needs nobody to be logged in, the list of keys, and short addresses."""
    return [
        web.get(f"{base}/keys", entry.keys),
        web.get(f"{base}/docs", entry.docs),
        web.get(f"{base}/openapi.json", entry.openapi),
        web.get(f"{base}/login", entry.login),
        web.post(f"{base}/login", entry.enter),
        web.get(f"{base}/healthz", entry.healthz),
        web.get(f"{base}/metrics", metrics.show),
        web.get(f"{base}/static/{{name:.+}}", entry.static),
        web.get(f"{base}/{{kind:sources|nodes|rules}}/{{name}}", refused.by_name),
    ]
