"""How far a run is: a bar in a terminal, elsewhere a line now and then."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from core.training.log import duration, log

LINE_SECONDS = 30.0  # between lines where there is no terminal to draw a bar in
REFRESH_SECONDS = 0.25


class Bar:
    """A bar in a terminal, elsewhere a line now and then, which reads well in a file.

    Args:
        console: where it is drawn.
        visible: False on all processes but the main one.
        label: of the run.
    """

    def __init__(self, console: Console, visible: bool, label: str):
        self.visible, self.label = visible, label
        self.started_at, self.start_share = time.monotonic(), 0.0
        self.last_update = -float("inf")
        self.rich: Progress | None = None
        self.task = TaskID(0)
        if visible and console.is_terminal:
            self.rich = _rich_bar(console)
            self.task = self.rich.add_task(label, total=1.0, eta="", text="")

    def start(self, share: float) -> None:
        """Draw it, and take the time for the estimate of the rest: the run begins with `share` of it done."""
        self.started_at, self.start_share = time.monotonic(), share
        if self.rich:
            self.rich.start()

    def update(self, share: float, text: str, force: bool = False) -> None:
        """Show that `share` of the run is done, unless it was updated a moment ago.

        Args:
            share: in [0, 1].
            text: what else there is to say; a terminal too narrow for it shows its beginning.
            force: update in any case.
        """
        now = time.monotonic()
        interval = REFRESH_SECONDS if self.rich else LINE_SECONDS
        if not self.visible or (now - self.last_update < interval and not force):
            return
        self.last_update = now
        if self.rich:
            self.rich.update(self.task, completed=share, eta=self._eta(share), text=text)
            self.rich.refresh()
        else:
            log.info("%s %5.1f %% | %s | %s", self.label, 100 * share, text, self._eta(share))

    def _eta(self, share: float) -> str:
        done = share - self.start_share
        if done <= 0:
            return "ETA ?"
        return f"ETA {duration((time.monotonic() - self.started_at) * (1 - share) / done)}"

    def close(self) -> None:
        """Leave the last state of the bar on the screen."""
        if self.rich:
            self.rich.stop()


def _rich_bar(console: Console) -> Progress:
    """Name, bar, percentage and ETA at their full width; the text is cut to the rest of the line."""
    rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(20),
        TextColumn("{task.percentage:5.1f} %"),
        TextColumn("{task.fields[eta]}"),
        TextColumn("{task.fields[text]}", table_column=rest),
        console=console,
        expand=True,
        auto_refresh=False,  # no refreshing thread: data workers are forked, and would inherit its lock
    )
