"""The live table of ``waybill top``: patterns by rate, what nobody could label first.

``/`` filters, Enter tells why a pattern gets its label, ``u`` shows the undecided only.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Resize
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Input, Static

from waybill.cli.pattern_rows import HEAD, need, rate_of, row_of, widths_of
from waybill.cli.patterns import asked_of
from waybill.cli.terminal import printable
from waybill.core.errors import WaybillError
from waybill.core.pattern import Pattern
from waybill.core.reason_words import reason_words
from waybill.patterns.client import PatternClient

__all__ = ["TopApp", "watch"]

_ROWS = "200"


def watch(address: str, token: str, interval_secs: float, labelling: str = "") -> int:
    """Show the table until somebody quits; gives the exit code."""
    app = TopApp(address, token, interval_secs, labelling)
    app.run()
    return app.return_code or 0


class Why(ModalScreen[None]):
    """Everything about one pattern."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "app.pop_screen", "Back"),
    ]
    CSS = "Why { align: center middle; } #why { width: 90%; height: 85%; border: round $primary; }"

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """The text, which scrolls."""
        with VerticalScroll(id="why"):
            yield Static(Text(self._text))
        yield Footer()


class TopApp(App[None]):
    """Asks a sidecar again and again."""

    TITLE = "waybill top"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter"),
        Binding("u", "undecided", "Undecided only"),
        Binding("escape", "clear", "All"),
        Binding("q", "quit", "Quit"),
    ]
    CSS = "#filter { display: none; } #filter.open { display: block; } #state { height: 1; }"

    def __init__(self, address: str, token: str, interval_secs: float, labelling: str = "") -> None:
        super().__init__()
        self._labelling = labelling
        self._asked = {"limit": _ROWS, **asked_of(labelling)}
        self._address = address
        self._token = token
        self._interval = interval_secs
        self._client: PatternClient | None = None
        self._patterns: dict[str, Pattern] = {}
        self._rates: dict[str, float] = {}
        self._looked_at = 0.0
        self._width = 0
        self._words = ""
        self._is_undecided = False

    def compose(self) -> ComposeResult:
        """State, table, filter, keys."""
        yield Static(id="state")
        yield DataTable[Text](cursor_type="row", zebra_stripes=True)
        yield Input(placeholder="text in message, label or source; Enter", id="filter")
        yield Footer()

    async def on_mount(self) -> None:
        """Begin to ask."""
        self._client = PatternClient(self._address, self._token)
        self._add_columns(self.size.width)
        self._table.focus()
        self.set_interval(self._interval, self.look)
        await self.look()

    def on_resize(self, event: Resize) -> None:
        """Columns as wide as the terminal allows; nothing to do before the first look."""
        if self._table.columns and event.size.width != self._width:
            self._table.clear(columns=True)
            self._add_columns(event.size.width)
            self.show()

    def _add_columns(self, width: int) -> None:
        self._width = width
        # Each cell has a blank on both sides, a line of text one between two.
        for name, wide in zip(HEAD, widths_of(width - len(HEAD) - 3), strict=False):
            self._table.add_column(name, width=wide)

    async def on_unmount(self) -> None:
        """Ask no more."""
        if self._client is not None:
            await self._client.__aexit__()

    @property
    def _table(self) -> DataTable[Text]:
        return self.query_one(DataTable)

    async def look(self) -> None:
        """Ask once, and show what came."""
        if self._client is None:
            return
        try:
            answer = await self._client.page(self._asked)
        except WaybillError as error:
            self._set_status(f"{error} (the table is of {time.strftime('%X')})")
            return
        now = time.monotonic()
        self._note_rates(answer.patterns, now - self._looked_at)
        self._looked_at = now
        self._patterns = {one.id: one for one in answer.patterns}
        part = "" if answer.is_whole else f", {answer.workers} workers answered"
        of_labelling = f" of {self._labelling}" if self._labelling else ""
        self._set_status(f"{self._client.url}: {len(answer.patterns)} patterns{of_labelling}{part}")
        self.show()

    def _note_rates(self, patterns: Sequence[Pattern], secs: float) -> None:
        """Records a minute between the last two looks, evened out over some of them."""
        for one in patterns:
            before = self._patterns.get(one.id)
            if before is None or one.least < before.least:
                self._rates[one.id] = rate_of(one)
                continue
            rate = 60 * (one.least - before.least) / max(secs, 0.01)
            known = self._rates.get(one.id, rate)
            self._rates[one.id] = 0.7 * known + 0.3 * rate

    def show(self) -> None:
        """Fill the table; the cursor stays on its pattern."""
        table = self._table
        chosen = self._chosen()
        rows = [one for one in self._patterns.values() if self._is_wanted(one)]
        rows.sort(key=lambda one: (need(one), -self._rates.get(one.id, 0.0), one.id))
        table.clear()
        for one in rows:
            cells = row_of(one, self._rates)[: len(table.columns)]
            style = "bold" if need(one) == 0 else ""
            table.add_row(*(Text(cell, style=style) for cell in cells), key=one.id)
        if chosen in table.rows:
            table.move_cursor(row=table.get_row_index(chosen))

    def _chosen(self) -> str:
        table = self._table
        if not table.is_valid_row_index(table.cursor_row):
            return ""
        found = table.coordinate_to_cell_key(table.cursor_coordinate)
        return found.row_key.value or ""

    def _is_wanted(self, one: Pattern) -> bool:
        if self._is_undecided and not one.is_undecided:
            return False
        if not self._words:
            return True
        told = " ".join((one.mask, *one.sources, *(share.label for share in one.verdicts)))
        return self._words in told.lower()

    def _set_status(self, text: str) -> None:
        self.query_one("#state", Static).update(Text(printable(text)))

    def action_filter(self) -> None:
        """Ask for words."""
        box = self.query_one("#filter", Input)
        box.add_class("open")
        box.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Show what has these words."""
        self._words = event.value.strip().lower()
        event.input.remove_class("open")
        self._table.focus()
        self.show()

    def action_undecided(self) -> None:
        """Show what nobody could decide, or all."""
        self._is_undecided = not self._is_undecided
        self.show()

    def action_clear(self) -> None:
        """Show all."""
        box = self.query_one("#filter", Input)
        box.value = ""
        box.remove_class("open")
        self._words = ""
        self._is_undecided = False
        self._table.focus()
        self.show()

    async def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Tell everything about one pattern."""
        one = self._patterns.get(event.row_key.value or "")
        if one is not None:
            await self.push_screen(Why(await self._story(one)))

    async def _story(self, one: Pattern) -> str:
        lines = [f"pattern {one.id}", one.mask, ""]
        lines += [f"example: {text}" for text in one.examples]
        lines += [f"source: {name} ({count:,})" for name, count in one.sources.items()]
        for share in one.verdicts:
            by = f"by {share.rule or share.tier}"
            if share.reason is not None:
                by = f"{reason_words(share.reason)} [{share.reason}]"
            lines.append(f"{share.count:,} x {share.label}: {by}")
        message = one.examples[0] if one.examples else one.mask
        if self._client is not None:
            lines += ["", "why, for the first example as it is shown:"]
            try:
                told = await self._client.explain(message, next(iter(one.sources), ""))
                lines += [f"{name}: {value}" for name, value in told.items()]
            except WaybillError as error:
                lines.append(str(error))
        return "\n".join(map(printable, lines))
