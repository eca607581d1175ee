"""Optuna's study in a journal file, which any number of workers on any machines append to.

A record is a line.  One that a full disk or a kill has cut off is removed by the next worker:
otherwise the record after it would be lost with it, and no worker could read on.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tinynet.errors import TinynetError, UsageError

# what Optuna raises on damaged content, since it trusts its journal
_DAMAGE = (ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError)


def optuna() -> Any:
    """The module, with its logging off.  Raises TinynetError if it is not installed."""
    try:
        import optuna
    except ImportError:
        raise TinynetError("tinynet search needs Optuna: pip install 'tinynet[search]'") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def join(journal: Path, name: str, first_judged: int) -> Any:
    """Join the study ``name``, or begin it; a journal holds one study.

    ``first_judged``: the first epoch whose accuracy may end a trial.  Raises UsageError if the
    journal is of another study, TinynetError if it is damaged.
    """
    module = optuna()
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    file = os.fspath(journal)
    # a lock file, since links (Optuna's default) are refused by some network file systems
    lock = JournalFileOpenLock(file)
    _cut_torn_end(journal, lock)
    try:
        storage = JournalStorage(JournalFileBackend(file, lock_obj=lock))
        names = [study.study_name for study in storage.get_all_studies()]
    except _DAMAGE as error:
        raise TinynetError(
            f"{journal}: is damaged ({error}); move it away, and the same command begins the study "
            "again with the trials that have been trained"
        ) from None
    if names and name not in names:
        raise UsageError(f"{journal.parent}: holds a search of {names[0]}; name another --out")
    return module.create_study(
        storage=storage,
        study_name=name,
        direction="maximize",
        load_if_exists=True,
        pruner=module.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=first_judged),
    )


def _cut_torn_end(journal: Path, lock: Any) -> None:
    """Remove an incomplete last line, holding the lock that writers take."""
    if not journal.exists() or _is_whole(journal):
        return
    lock.acquire()
    try:
        if not _is_whole(journal):  # it may have been appended to just now
            content = journal.read_bytes()
            os.truncate(journal, content.rfind(b"\n") + 1)
    finally:
        lock.release()


def _is_whole(journal: Path) -> bool:
    with journal.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        return file.read(1) in (b"", b"\n")
