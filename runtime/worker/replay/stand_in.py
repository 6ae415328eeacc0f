"""Give a step that is made again an empty folder in the place of its item's workspace."""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

from runtime.exceptions import WorkspaceUnavailable
from runtime.store.values import Outcome
from runtime.worker.replay.watch import unwatched
from runtime.workspaces import places


class StandIn:
    """A folder of one step's own, made when it first asks. Its path ends like the real one's, which may not exist.

    What the step makes of the path is compared with what the run had made of the real one: `named_in` and `named_by`
    put that in its place.
    """

    def __init__(self, namespace: str, item: uuid.UUID) -> None:
        self._namespace = namespace
        self._item = item
        self._base: Path | None = None
        self._path = ""
        self._real = ""

    def folder(self) -> Path:
        """Return the folder, made if it is not there."""
        if self._base is None:
            self._real = _real(self._namespace, self._item)
            with unwatched():
                self._base = Path(tempfile.mkdtemp(prefix="roost-replay-")).resolve()
                folder = self._base / self._namespace / str(self._item)
                folder.mkdir(parents=True)
            self._path = str(folder)
        return Path(self._path)

    def remove(self) -> None:
        """Remove the folder and what is in it."""
        if self._base is not None:
            with unwatched():
                shutil.rmtree(self._base, ignore_errors=True)

    def named_in(self, value: Any) -> Any:
        """Return a JSON value with the real path wherever it names the folder."""
        if not self._path or not self._real:
            return value
        if isinstance(value, str):
            return value.replace(self._path, self._real)
        if isinstance(value, list | tuple):
            return [self.named_in(part) for part in value]
        if isinstance(value, dict):
            return {self.named_in(key): self.named_in(part) for key, part in value.items()}
        return value

    def named_by(self, outcome: Outcome) -> Outcome:
        """Return an outcome with the real path wherever its state, result or error names the folder."""
        if not self._path or not self._real:
            return outcome
        data, result, error = (self._in_text(text) for text in (outcome.data, outcome.result, outcome.error))
        return replace(outcome, data=data, result=result, error=error)

    def _in_text(self, text: str | None) -> str | None:
        return None if text is None else text.replace(_quoted(self._path), _quoted(self._real))


def _real(namespace: str, item: uuid.UUID) -> str:
    """Return where the workspace is or would be; nothing where there are none."""
    try:
        return str(places.place(namespace, item).path)
    except WorkspaceUnavailable:
        return ""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
