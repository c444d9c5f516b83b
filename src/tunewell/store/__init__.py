"""Files that survive a crash: Parquet shards, atomic writes, hashes, manifests, journals and the decisions of reviewers."""

from tunewell.store.decisions import DecisionLog, Judgement, ReviewFolder, Verdict, decided, read_decisions, read_judgements
from tunewell.store.files import atomic_folder, atomic_write, exclusive, friendly_disk_errors, write_json
from tunewell.store.hashing import digest, file_digest, folder_digest, short_digest
from tunewell.store.journal import Journal
from tunewell.store.manifest import MANIFEST, Manifest
from tunewell.store.shards import (
    ROWS_PER_GROUP,
    ShardWriter,
    clear_shards,
    count_rows,
    finish_shards,
    read_documents,
    read_dropped,
    read_examples,
    read_results,
    read_tables,
    shards,
    write_rows,
)

__all__ = [
    "MANIFEST",
    "ROWS_PER_GROUP",
    "DecisionLog",
    "Journal",
    "Judgement",
    "Manifest",
    "ReviewFolder",
    "ShardWriter",
    "Verdict",
    "atomic_folder",
    "atomic_write",
    "clear_shards",
    "count_rows",
    "decided",
    "digest",
    "exclusive",
    "file_digest",
    "finish_shards",
    "folder_digest",
    "friendly_disk_errors",
    "read_decisions",
    "read_documents",
    "read_dropped",
    "read_examples",
    "read_judgements",
    "read_results",
    "read_tables",
    "shards",
    "short_digest",
    "write_json",
    "write_rows",
]
