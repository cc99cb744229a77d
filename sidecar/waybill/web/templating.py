"""The environment of all pages: every text in them is escaped unless it was rendered by us."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import jinja2
from markupsafe import Markup

from waybill.core.pattern import kind_of
from waybill.core.reason_words import reason_words
from waybill.core.version import VERSION
from waybill.web import hits, numbers, text
from waybill.web.charts import bars
from waybill.web.store.filters import Filter

#: Links to narrower lists that are kept; a page has some three hundred, most of them alike.
_NARROWED = 512
HERE = Path(__file__).parent
STATIC = HERE / "static"


class Templates:
    """The environment of all pages."""

    def __init__(self, base_path: str, labelling: str = "") -> None:
        """``labelling``: the further labelling that all addresses keep; empty: the first."""
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            finalize=text.harmless,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._base = base_path
        self._tax = f"tax={labelling}" if labelling else ""
        self._marks = {
            str(file.relative_to(STATIC)): hashlib.sha256(file.read_bytes()).hexdigest()[:10]
            for file in STATIC.rglob("*")
            if file.is_file()
        }
        self._environment.globals.update(url=self.url, asset=self.asset, bars=bars, version=VERSION)
        self._environment.filters.update(
            count=numbers.count,
            rate=numbers.rate,
            size=numbers.size,
            utc=numbers.utc,
            iso=numbers.iso,
            seconds=numbers.seconds,
            plain=text.plain,
            exact=text.exact,
            log=text.log_text,
            timed=text.timed,
            mask=text.mask_text,
            as_json=as_json,
            reason=reason_words,
        )
        self._environment.globals["narrow"] = functools.lru_cache(_NARROWED)(self._narrow)
        self._environment.globals["values"] = hits.values_behind
        self._environment.globals["hit"] = hits.hit_text
        self._environment.globals["zip"] = zip
        self._environment.globals["kind_of"] = kind_of
        self._environment.globals["share"] = numbers.share
        self._environment.globals["ago"] = numbers.ago

    def url(self, path: str, query: str = "") -> str:
        """The address of a page, below the prefix; it keeps the labelling."""
        query = "&".join(filter(None, (query, self._tax)))
        return f"{self._base}{path}?{query}" if query else f"{self._base}{path}"

    def _narrow(self, wanted: Filter, member: str, value: str) -> Markup:
        """Links that add "is" and "is not" to a list's conditions; hundreds on a page are alike."""
        if not value:
            return Markup()
        links = []
        for is_not, sign, words in ((False, "+", "is"), (True, "\N{MINUS SIGN}", "is not")):
            address = self.url("/patterns", wanted.having(member, value, is_not))
            says = f"{member} {words} {text.plain(value)}"
            link = Markup('<a href="{0}" title="{1}" aria-label="{1}">{2}</a>')
            links.append(link.format(address, says, sign))
        return Markup("<span class=narrow>{}</span>").format(Markup().join(links))

    def asset(self, name: str) -> str:
        """The address of a file of ``static``; it changes with the file."""
        return f"{self._base}/static/{name}?v={self._marks[name]}"

    def has_asset(self, name: str) -> bool:
        """Whether there is such a file of ``static``."""
        return name in self._marks

    def compile_all(self) -> None:
        """Compile what is compiled on its first use otherwise: up to 70 ms on the event loop.

        It takes a third of a second, for a thread.
        """
        for name in self._environment.list_templates():
            self._environment.get_template(name)

    def render(self, name: str, values: Mapping[str, object]) -> str:
        """The text of a template."""
        return self._environment.get_template(name).render(values)


def as_json(value: object) -> Markup:
    """``value`` as JSON that may stand in ``<script type="application/json">``."""
    written = json.dumps(value).replace("<", "\\u003c").replace("\u2028", "\\u2028")
    return Markup(written)  # noqa: S704 - nothing in it can end the element
