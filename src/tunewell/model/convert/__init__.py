"""Checkpoints of old remote-code layouts, written anew as plain transformers folders, so that no remote code ever runs.

Each old layout is a table: `baichuan`, `chatglm`. The rest reads, checks and writes tensors without knowing any of them.
"""

from tunewell.model.convert.folder import Converted, convert_checkpoint

__all__ = ["Converted", "convert_checkpoint"]
