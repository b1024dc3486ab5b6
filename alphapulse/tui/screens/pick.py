"""Two small lists over the dashboard: the funds to choose from, and the errors so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from alphapulse.domain.funds import Fund
    from alphapulse.tui.live import ErrorNote


class FundScreen(ModalScreen[int | None]):
    """Ends with the place of the chosen fund in ``funds``, with -1 for all together, or with None."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,f", "back", "Back")]

    def __init__(self, funds: Sequence[Fund], chosen: str | None, halted: frozenset[str]) -> None:
        super().__init__()
        self._funds = funds
        self._chosen = chosen
        self._halted = halted

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Choose a fund"
            yield OptionList(Option(Content("all funds together")), *(Option(self._line(fund)) for fund in self._funds))
            yield Static(Content("↑ ↓ move · Enter chooses · Esc goes back"), classes="note")

    def _line(self, fund: Fund) -> Content:
        config = fund.config
        halted = (" ■ HALTED", "bold") if fund.name in self._halted else ""
        about = f"  {fund.mode} {fund.state} · {config.venue} {config.timeframe} · {len(config.universe)} symbols"
        return Content.assemble((fund.name, "bold"), (about, "$text-muted"), halted)

    def on_mount(self) -> None:
        names = [fund.name for fund in self._funds]
        options = self.query_one(OptionList)
        options.highlighted = 0 if self._chosen not in names else names.index(self._chosen) + 1
        options.focus()

    def on_option_list_option_selected(self, selected: OptionList.OptionSelected) -> None:
        self.dismiss(selected.option_index - 1)

    def action_back(self) -> None:
        self.dismiss(None)


class ErrorScreen(ModalScreen[None]):
    """Every error since the dashboard was opened, the newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape,e,x", "back", "Back")]

    def __init__(self, errors: Sequence[ErrorNote]) -> None:
        super().__init__()
        self._errors = errors

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes="wide") as dialog:
            dialog.border_title = f"Errors ({len(self._errors)})"
            with VerticalScroll():
                lines = [Content(f"{note.at:%m-%d %H:%M:%S}Z {note.line}") for note in reversed(self._errors)]
                yield Static(Content("\n").join(lines or [Content("none so far")]))
            yield Static(Content("↑ ↓ scroll · Esc goes back"), classes="note")

    def action_back(self) -> None:
        self.dismiss(None)
