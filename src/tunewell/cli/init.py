"""`tunewell init`: a recipe to start from."""

import shutil
from pathlib import Path

from tunewell.bundled import asset
from tunewell.errors import UserError
from tunewell.store import friendly_disk_errors


def write_starter(folder: Path) -> list[Path]:
    """Copy the starter recipe and its few rows of data into a new or empty folder; return the files written."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError("the folder is not empty", where=str(folder), hint="choose a new one: nothing is overwritten")
    with friendly_disk_errors(folder):
        shutil.copytree(asset("init"), folder, dirs_exist_ok=True)
    return sorted(path for path in folder.rglob("*") if path.is_file())
