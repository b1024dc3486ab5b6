"""Halting and resuming: what it stops or lets go, why, and a word that has to be typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, RadioButton, RadioSet, Static

from alphapulse.domain.risk import HaltScope

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType


_SIGNS = {True: "●", False: "○"}


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that can be halted or resumed. fund: its name, for scope ``fund``. label: for people."""

    scope: HaltScope
    fund: str | None
    label: str


@dataclass(frozen=True, slots=True)
class Confirmed:
    choice: Choice
    reason: str


@dataclass(frozen=True, slots=True)
class Wording:
    """word: what has to be typed, exactly. default_reason: recorded when none is given."""

    title: str
    word: str
    effect: str
    default_reason: str


HALT = Wording(
    "Halt trading",
    "HALT",
    "No new orders until somebody resumes. What is held stays held;\norders by hand that lessen a position still pass.",
    "halted from the dashboard",
)
RESUME = Wording(
    "Resume trading",
    "RESUME",
    "Agents trade again from the next bar on.",
    "resumed from the dashboard",
)


class _Option(RadioButton):
    """A button whose state shows by its sign, not by colour alone."""

    def __init__(self, label: Content, *, value: bool) -> None:
        super().__init__(label, value)
        self._show(value=value)

    def watch_value(self) -> None:
        self._show(value=self.value)
        super().watch_value()

    def _show(self, *, value: bool) -> None:
        # The sign is a constant of the class there; here it is one button's.
        setattr(self, "BUTTON_INNER", _SIGNS[value])  # noqa: B010 -- see above


class LatchScreen(ModalScreen[Confirmed | None]):
    """Ends with what was confirmed, or None. Only the exact word confirms; Escape always goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [("escape", "back", "Back")]

    def __init__(self, wording: Wording, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._wording = wording
        self._choices = choices

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog", classes=f"latch-{self._wording.word.lower()}") as dialog:
            dialog.border_title = self._wording.title
            yield Static(Content(self._wording.effect), classes="note")
            with RadioSet(id="choices"):
                for number, choice in enumerate(self._choices):
                    yield _Option(Content(choice.label), value=number == 0)
            yield Input(placeholder=f"reason (optional): {self._wording.default_reason}", id="reason", max_length=200)
            yield Static(id="what")
            yield Input(placeholder=f"type {self._wording.word} and press Enter", id="word", max_length=20)
            yield Static(Content("Enter confirms · Tab moves · Esc goes back"), id="answer", classes="note")

    def on_mount(self) -> None:
        for field in self.query(Input):
            field.cursor_blink = False
        self.query_one("#word", Input).focus()
        self._say_what()

    def on_radio_set_changed(self) -> None:
        self._say_what()

    @property
    def _choice(self) -> Choice:
        return self._choices[max(0, self.query_one(RadioSet).pressed_index)]

    def _say_what(self) -> None:
        """What would happen, in words too."""
        self.query_one("#what", Static).update(Content.styled(f"{self._wording.word}: {self._choice.label}", "bold"))

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        if submitted.input.id == "reason":
            self.query_one("#word", Input).focus()
            return
        if submitted.value.strip() != self._wording.word:
            self.query_one("#answer", Static).update(
                Content.styled(f"! Not done: type {self._wording.word}, in capitals.", "$text-warning bold")
            )
            return
        if self.is_current:
            reason = self.query_one("#reason", Input).value.strip() or self._wording.default_reason
            self.dismiss(Confirmed(self._choice, reason))

    def action_back(self) -> None:
        self.dismiss(None)
