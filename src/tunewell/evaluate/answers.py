"""The base model's answers in the user's cache, so that another run on the same items decodes only its own model."""

import shutil
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import platformdirs

from tunewell import __version__
from tunewell.store import atomic_folder, digest


def shelf(identity: Any) -> Path:
    """The folder for the answers of one model to one set of items; `identity` (JSON) names all that they depend on.

    What decodes them is added here: the versions of this product, torch and transformers. The folder may be deleted at any time.
    """
    versions = [__version__, version("torch"), version("transformers")]
    return Path(platformdirs.user_cache_dir("tunewell")) / "answers" / digest([identity, versions])


def borrow(kept: Path, journals: Path) -> bool:
    """Copy kept journals to the folder `journals`, in place of what lies there. False where none are kept."""
    if not kept.is_dir():
        return False
    with atomic_folder(journals) as temporary:
        shutil.copytree(kept, temporary, dirs_exist_ok=True)
    return True


def keep(journals: Path, kept: Path) -> None:
    """Copy finished journals to the cache. A cache that cannot be written is no reason to fail: it only saves time."""
    with suppress(OSError), atomic_folder(kept) as temporary:
        shutil.copytree(journals, temporary, dirs_exist_ok=True)
